"""The goods of which ``demo.unseen`` makes its 200 products: 25 kinds, two brands of each, four flavours of each brand."""

from __future__ import annotations

from typing import NamedTuple

from edgevision.demo.products import Shape

COLORS = {
    "red": "c62f2b", "orange": "e8791f", "yellow": "f0c92e", "green": "4a9a3a", "teal": "1f8f8a", "blue": "2b62b8",
    "purple": "7a3fa0", "pink": "e0679c", "brown": "7b4a2a", "white": "f6f5f1", "cream": "f3e3bd", "gray": "8d9094",
    "black": "26262a",
}  # fmt: skip
"""The inks of these products: a plain word for each, and its sRGB value."""


class Flavour(NamedTuple):
    """``accent`` and ``ink``: of ``COLORS``; the first tells the flavours of a brand apart, the second is the motif's."""

    name: str
    accent: str
    motif: str
    ink: str


class Range(NamedTuple):
    """One kind of goods. ``phrase``: what it is, in a sentence; ``price``: of a usual one, in euros; ``flavours``: eight, each as
    "name accent motif ink"; the first brand has the first four."""

    kind: str
    shape: Shape
    net: str
    price: float
    phrase: str
    brands: tuple[str, str]
    flavours: str

    def listed(self) -> tuple[Flavour, ...]:
        """The flavours, taken apart."""
        words = [line.rsplit(" ", 3) for line in self.flavours.split(", ")]
        return tuple(Flavour(*word) for word in words)


RANGES: tuple[Range, ...] = (
    Range("juice", Shape.CARTON, "1 L", 1.99, "fruit juice, not from concentrate", ("Pomlier", "Saftberg"),
          "Pear green apple yellow, Grapefruit pink citrus red, Peach orange apricot orange, Blackcurrant purple grapes black, "
          "Red Grape red grapes purple, Pineapple yellow sun orange, Mixed Berry pink cherries red, Blood Orange orange citrus red"),
    Range("plant drink", Shape.CARTON, "1 L", 1.79, "drink made of plants, without lactose", ("Grainette", "Nubralo"),
          "Almond brown grain cream, Soy green beans cream, Rice blue grain gray, Coconut teal drop white, "
          "Hazelnut orange beans brown, Spelt yellow grain orange, Vanilla pink star yellow, Pea Protein purple peas green"),
    Range("lemonade", Shape.CAN, "0.33 L", 0.89, "sparkling lemonade", ("Prickolo", "Zischbert"),
          "Ginger orange peak yellow, Tonic blue bubbles white, Mandarin red citrus orange, Lime green citrus green, "
          "Bitter Lemon yellow lemon yellow, Elderflower teal star white, Raspberry pink strawberry red, Cream Soda purple bubbles cream"),
    Range("energy drink", Shape.CAN, "0.25 L", 1.49, "drink with caffeine", ("Wattnix", "Ampero"),
          "Original blue bolt yellow, Zero gray bolt white, Tropic orange sun yellow, Apple Kick green apple green, "
          "Wild Berry purple cherries purple, Mint teal leaves green, Red Rush red bolt red, Sunrise pink sun orange"),
    Range("muesli", Shape.BOX, "500 G", 3.29, "muesli for breakfast", ("Kornwalt", "Mornella"),
          "Apple green apple red, Chocolate brown beans brown, Apricot orange apricot orange, Blueberry blue bubbles purple, "
          "Raisin purple grapes purple, Honey Oats yellow grain yellow, Red Fruit red strawberry red, Pure Oats teal grain cream"),
    Range("pasta", Shape.BOX, "500 G", 1.39, "dried pasta", ("Lunzetti", "Tavolino"),
          "Penne blue grain yellow, Spinach green leaves green, Tomato red cherries red, Lentil orange beans orange, "
          "Fusilli yellow rings yellow, Wholegrain brown grain brown, Egg Ribbons teal sun yellow, Black Squid gray fish black"),
    Range("herbal tea", Shape.CHEST, "20 BAGS", 2.19, "herbal tea, without caffeine", ("Kamivelle", "Wiesenruh"),
          "Mint teal leaves green, Camomile yellow sun yellow, Rooibos red cup red, Fennel green leaves yellow, "
          "Hibiscus pink star red, Ginger Lemon orange lemon yellow, Sage gray leaves gray, Sleep Well purple star purple"),
    Range("biscuits", Shape.CHEST, "200 G", 2.49, "biscuits, baked with butter", ("Knusprine", "Cordelet"),
          "Butter yellow rings yellow, Cocoa brown rings brown, Lemon green lemon yellow, Almond red beans brown, "
          "Ginger orange star orange, Coconut teal rings white, Strawberry pink strawberry red, Oat purple grain cream"),
    Range("coffee", Shape.POUCH, "250 G", 5.49, "roasted coffee beans", ("Bohnmeister", "Cafelune"),
          "Espresso red beans brown, Crema orange cup brown, Decaf green beans green, House Blend blue cup cream, "
          "Highland teal peak brown, Ristretto purple cup black, Breakfast yellow sun orange, Dark Forest gray beans black"),
    Range("nuts", Shape.POUCH, "200 G", 3.79, "nuts, dry roasted", ("Knackwerk", "Nussaro"),
          "Almonds blue beans brown, Cashews orange rings cream, Walnuts green beans brown, Hazelnuts red beans orange, "
          "Peanuts yellow beans yellow, Pistachios teal peas green, Pecans purple beans brown, Trail Mix pink grapes purple"),
    Range("crisps", Shape.BAG, "150 G", 1.89, "potato crisps", ("Krosswell", "Chipotane"),
          "Onion green crisps yellow, Vinegar blue crisps cream, Chili red crisps orange, Cheese yellow crisps orange, "
          "Rosemary teal leaves green, Barbecue brown crisps brown, Sour Cream purple crisps white, Pepper gray star black"),
    Range("popcorn", Shape.BAG, "100 G", 1.59, "popcorn, ready to eat", ("Puffalino", "Maisette"),
          "Sweet pink star yellow, Salted blue bubbles white, Caramel orange rings brown, Butter yellow bubbles yellow, "
          "Chili red bolt red, Cinnamon brown star orange, Coconut teal drop white, Honey green rings yellow"),
    Range("water", Shape.BOTTLE, "0.75 L", 0.79, "natural mineral water", ("Quellgrund", "Aquarive"),
          "Spring blue peak blue, Lightly Sparkling teal bubbles teal, Lemon yellow lemon yellow, Apple green apple green, "
          "Berry purple cherries red, Peach orange apricot orange, Grapefruit pink citrus pink, Iron Well gray drop gray"),
    Range("syrup", Shape.BOTTLE, "0.7 L", 2.99, "syrup for drinks", ("Sirello", "Tropfgold"),
          "Raspberry pink strawberry pink, Elderflower cream star white, Cherry red cherries red, Woodruff green leaves green, "
          "Grenadine purple cherries purple, Apricot orange apricot orange, Lemon yellow lemon yellow, Blue Mint teal leaves teal"),
    Range("oil", Shape.BOTTLE, "0.5 L", 4.99, "cold pressed oil", ("Olivanne", "Presswerk"),
          "Olive green leaves green, Sunflower yellow sun yellow, Sesame brown grain cream, Chili red bolt red, "
          "Rapeseed orange star yellow, Walnut purple beans brown, Pumpkin Seed teal drop green, Lemon pink lemon yellow"),
    Range("jam", Shape.JAR, "340 G", 2.79, "jam with pieces of fruit", ("Beerenhof", "Confiture Lys"),
          "Apricot orange apricot orange, Blueberry blue grapes blue, Cherry red cherries red, Fig green drop purple, "
          "Plum purple grapes purple, Orange yellow citrus orange, Raspberry pink strawberry red, Gooseberry teal peas green"),
    Range("honey", Shape.JAR, "500 G", 6.49, "honey", ("Immengold", "Bienlieb"),
          "Forest green leaves brown, Acacia yellow drop yellow, Clover pink star pink, Chestnut brown drop brown, "
          "Heather purple star purple, Sunflower orange sun orange, Mountain blue peak gray, Linden teal leaves green"),
    Range("pesto", Shape.JAR, "190 G", 2.59, "pesto for pasta", ("Ligurello", "Basilieu"),
          "Basil green leaves green, Tomato red cherries red, Pepper orange bolt orange, Olive gray beans black, "
          "Rocket teal leaves teal, Walnut brown beans brown, Lemon yellow lemon yellow, Beetroot purple drop purple"),
    Range("fish", Shape.TIN, "160 G", 2.29, "fish, ready to eat", ("Nordkutter", "Marelune"),
          "Tuna blue fish blue, Salmon pink fish orange, Sardines yellow fish gray, Mackerel green fish green, "
          "Herring red fish red, Anchovies orange fish brown, Trout teal fish teal, Mussels purple rings purple"),
    Range("pulses", Shape.TIN, "400 G", 1.19, "pulses, cooked", ("Huelsenfein", "Legumio"),
          "Kidney Beans red beans red, White Beans blue beans white, Chickpeas yellow peas yellow, Green Peas green peas green, "
          "Lentils brown beans brown, Black Beans gray beans black, Sweet Corn orange grain yellow, Broad Beans teal beans green"),
    Range("soup", Shape.TIN, "400 G", 1.89, "soup, ready to heat", ("Loeffelglueck", "Potavie"),
          "Tomato red cherries red, Pumpkin orange apricot orange, Pea green peas green, Leek teal leaves green, "
          "Mushroom brown cup brown, Onion yellow rings yellow, Fish blue fish blue, Beetroot purple drop red"),
    Range("rice", Shape.POUCH, "1 KG", 2.89, "rice", ("Sawahan", "Risolde"),
          "Basmati blue grain cream, Jasmine green star white, Brown brown grain brown, Sushi red rings red, "
          "Risotto yellow grain yellow, Wild Mix purple grain black, Parboiled orange grain orange, Coconut teal drop white"),
    Range("detergent", Shape.BOTTLE, "1 L", 4.49, "liquid detergent for laundry", ("Weisswal", "Lavandin"),
          "Color pink bubbles purple, White blue bubbles blue, Sensitive green leaves green, Sport red bolt red, "
          "Lavender purple star purple, Citrus yellow citrus yellow, Ocean teal drop blue, Black gray drop black"),
    Range("sweets", Shape.BAG, "200 G", 1.29, "sweets", ("Naschkatz", "Bonbolina"),
          "Sour Lemon yellow lemon yellow, Cherry red cherries red, Mint teal leaves teal, Liquorice gray rings black, "
          "Strawberry pink strawberry pink, Orange orange citrus orange, Cola brown bubbles brown, Apple Rings green rings green"),
    Range("baking mix", Shape.BOX, "400 G", 2.69, "baking mix", ("Ofenlust", "Patissane"),
          "Brownie brown cup brown, Lemon Cake yellow lemon yellow, Carrot Cake orange apricot orange, Apple Cake green apple red, "
          "Pizza red star red, Waffles blue rings yellow, Poppy Seed purple beans black, Pancakes teal rings cream"),
)  # fmt: skip
