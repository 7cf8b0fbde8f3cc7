"""Temperatures, as the machine's sensors tell them."""

from __future__ import annotations

from edgevision.bench.conditions.roots import Roots, number_of, text_of


def temperatures(roots: Roots) -> dict[str, float]:
    """Degrees Celsius by sensor: "coretemp Package id 0", "zone x86_pkg_temp"; empty where there is no sensor.

    Sensors of one name get a number. What is colder than -40 or hotter than 150 °C is a sensor that is not connected.
    """
    found: dict[str, float] = {}
    for file in sorted(roots.sys.glob("class/hwmon/hwmon*/temp*_input")):
        chip = text_of(file.parent / "name") or file.parent.name
        label = text_of(file.parent / file.name.replace("_input", "_label")) or file.name.removesuffix("_input")
        _add(found, f"{chip} {label}", number_of(file))
    for zone in sorted(roots.sys.glob("class/thermal/thermal_zone*")):
        _add(found, f"zone {text_of(zone / 'type') or zone.name}", number_of(zone / "temp"))
    return found


def _add(found: dict[str, float], name: str, millidegrees: int | None) -> None:
    if millidegrees is None or not -40_000 <= millidegrees <= 150_000:
        return
    number, unique = 1, name
    while unique in found:
        number += 1
        unique = f"{name} ({number})"
    found[unique] = millidegrees / 1000
