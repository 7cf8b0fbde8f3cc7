"""The pages say what is so: links lead somewhere, commands parse, options exist, Python compiles and finds its imports."""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import io
import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgevision.cli.bench import VERBS, verb_parser
from edgevision.cli.main import parser

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
         ROOT / "examples" / "README.md", ROOT / "benchmarks" / "README.md"]  # fmt: skip
EXAMPLE = ROOT / "examples" / "07_add_a_task"

# Options of other programs, and those that are named because they are gone.
FOREIGN_OPTIONS = frozenset(
    {
        "--check-for-update-interval",
        "--exclude-module",
        "--network",
        "--python",
        "--slow",
        "--strict",
        "--toolchain",
        "--wheels",
    }
)
OUTGROWN_OPTIONS = frozenset({"--unproven", "--keep", "--max-calibration-rise", "--unknown"})
PAGES_OF_THE_PAST = (DOCS / "glossary.md", ROOT / "CHANGELOG.md")

FENCE = re.compile(r"^( *)```(\w*)([^\n]*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"(?<!!)\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(text: str) -> str:
    """The page without its blocks of code."""
    return FENCE.sub("", text)


def blocks(page: Path, *languages: str) -> Iterator[tuple[str, str]]:
    """(what stands behind the language, code) of each block in one of ``languages``."""
    for match in FENCE.finditer(page.read_text("utf-8")):
        if match[2] in languages:
            yield match[3].strip(), textwrap.dedent(match[4])


# ---- links ----


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub and MkDocs make it."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", text).strip().lower())


def anchors(page: Path) -> set[str]:
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", prose(page.read_text("utf-8")), re.MULTILINE)}


def broken_links(page: Path) -> list[str]:
    found = []
    for link in LINK.findall(prose(page.read_text("utf-8"))):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            found.append(f"{link}: no such file")
        elif anchor and target.suffix == ".md" and anchor not in anchors(target):
            found.append(f"{link}: no such heading")
    return found


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    assert not broken_links(page)


def test_a_broken_link_is_found(tmp_path):
    (tmp_path / "there.md").write_text("# A heading, `code` and all\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](there.md#a-heading-code-and-all) [b](there.md#gone) [c](gone.md) [d](#gone) [e](https://e.org)\n"
    )
    assert [line.split(":")[0] for line in broken_links(page)] == ["there.md#gone", "gone.md", "#gone"]


def test_every_page_is_in_the_menu():
    menu = re.findall(r"([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8").split("\nnav:")[1], re.MULTILINE)
    assert {page for page in menu if not page.startswith("project/")} == {
        str(p.relative_to(DOCS)) for p in DOCS.rglob("*.md")
    }


# ---- commands ----


def commands() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The real parser, and the parser of each command, ``bench compare`` and the like among them."""
    top = parser()
    (action,) = [a for a in top._actions if isinstance(a, argparse._SubParsersAction)]
    verbs = {f"bench {verb}": verb_parser(verb) for verb in VERBS}
    (gallery,) = [a for a in action.choices["gallery"]._actions if isinstance(a, argparse._SubParsersAction)]
    verbs |= {f"gallery {verb}": one for verb, one in gallery.choices.items()}
    return top, {**action.choices, **verbs}


def command_lines(page: Path) -> Iterator[str]:
    for _, code in blocks(page, "", "bash", "sh", "console"):
        for line in code.replace("\\\n", " ").splitlines():
            words = line.strip().removeprefix("$ ")
            words = re.sub(r"^(?:[A-Z_]+=\S+ )+", "", words)
            if re.match(r"edgevision (?!COMMAND)", words):
                yield words


def error_of(line: str) -> str:
    """What the command line says of it; empty where it parses."""
    top, _ = commands()
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            top.parse_args(shlex.split(line, comments=True)[1:])
    except SystemExit as left:
        return said.getvalue() if left.code else ""
    return ""


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_command_lines_parse(page):
    assert not {line: error for line in command_lines(page) if (error := error_of(line))}


@pytest.mark.parametrize(
    "line",
    ["edgevision cook model.pt", "edgevision compile", "edgevision compile m.pt --unproven", "edgevision eval m.edge",
     "edgevision predict m.edge p.jpg --top many"],
)  # fmt: skip
def test_a_wrong_command_line_is_found(line):
    assert error_of(line)


def unknown_code(text: str, outgrown: bool = False) -> list[str]:
    """Options and commands in ``code`` that nothing knows."""
    _, choices = commands()
    options = {option for one in choices.values() for option in one._option_string_actions}
    known = options | FOREIGN_OPTIONS | {"--version"} | (OUTGROWN_OPTIONS if outgrown else set())
    found = []
    for code in CODE.findall(prose(text)):
        words = code.split()
        if words[0] == "edgevision" and len(words) > 1:
            words = words[1:]
        if " ".join(words[:2]) in choices:
            words = [" ".join(words[:2]), *words[2:]]
        if words[0] in choices:
            own = set(choices[words[0]]._option_string_actions) | (OUTGROWN_OPTIONS if outgrown else set())
            found += [code for word in words[1:] if word.startswith("--") and word.split("=")[0] not in own]
            continue
        is_command = code.startswith("edgevision ") and not words[0].startswith("-")
        is_option = words[0].startswith("--") and words[0].split("=")[0] not in known
        if is_command or is_option:
            found.append(code)
    return found


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name != "benchmarks"], ids=name)
def test_options_in_the_text_exist(page):
    assert not unknown_code(page.read_text("utf-8"), outgrown=page in PAGES_OF_THE_PAST)


def test_an_outgrown_option_is_found():
    text = "`--unproven`, `edgevision eval --keep 1`, `compile --int8`, `edgevision cook`, `--threads`, `eval`"
    assert unknown_code(text) == ["--unproven", "edgevision eval --keep 1", "edgevision cook"]


def test_the_reference_lists_every_option():
    _, choices = commands()
    sections = re.split(
        r"^## `edgevision (\w+)`$", (DOCS / "reference" / "commands.md").read_text("utf-8"), flags=re.MULTILINE
    )[1:]
    listed = {
        command: set(re.findall(r"^\| `(-[\w-]+)", text, re.MULTILINE))
        for command, text in zip(sections[::2], sections[1::2], strict=True)
    }
    expected = {
        command: {action.option_strings[-1] for action in one._actions if action.option_strings}
        - {"--help", "--json", "--debug"}
        for command, one in choices.items()
        if " " not in command  # bench's verbs stand in a table of their own
    }  # fmt: skip
    assert listed == expected


# ---- Python ----


def python_blocks(page: Path) -> list[str]:
    """Blocks that stand for themselves. Those with a title are parts of an example."""
    return [code for info, code in blocks(page, "python") if "title=" not in info]


@pytest.mark.parametrize("page", [page for page in PAGES if python_blocks(page)], ids=name)
def test_python_compiles(page):
    for code in python_blocks(page):
        ast.parse(code)


def missing_imports(code: str) -> list[str]:
    """Names of ours that the code imports and that are not there."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.ImportFrom) or (node.module or "").split(".")[0] != "edgevision":
            continue
        module = importlib.import_module(node.module)
        found += [
            f"{node.module}.{alias.name}"
            for alias in node.names
            if not hasattr(module, alias.name) and not _is_module(node.module, alias.name)
        ]
    return found


def _is_module(package: str, name: str) -> bool:
    return (ROOT.joinpath(*package.split("."), f"{name}.py")).is_file()


@pytest.mark.requires("torch", "onnx")
@pytest.mark.parametrize("page", [page for page in PAGES if python_blocks(page)], ids=name)
def test_imports_are_there(page):
    assert not [missing for code in python_blocks(page) for missing in missing_imports(code)]


@pytest.mark.requires("torch", "onnx")
@pytest.mark.parametrize("path", sorted((ROOT / "examples").rglob("*.py")), ids=name)
def test_imports_of_the_examples_are_there(path):
    assert not missing_imports(path.read_text("utf-8"))


def test_a_missing_import_is_found():
    assert missing_imports("from edgevision.errors import InputError, OutputError\n") == [
        "edgevision.errors.OutputError"
    ]


def test_the_page_on_tasks_shows_the_example():
    shown: dict[str, list[str]] = {}
    for info, code in re.findall(
        r'^```python title="([^"]+)"\n(.*?)^```$',
        (DOCS / "how-to" / "add-a-task.md").read_text("utf-8"),
        re.DOTALL | re.MULTILINE,
    ):
        shown.setdefault(info, []).append(code)
    assert set(shown) == {path.name for path in EXAMPLE.glob("*.py")}
    for file, parts in shown.items():
        text = (EXAMPLE / file).read_text("utf-8")
        assert all(part in text for part in parts), f"{file} was changed: show it again in docs/how-to/add-a-task.md"
        if file != "main.py":  # the two modules are shown as a whole
            assert squeezed("\n".join(parts)) == squeezed(text)


def squeezed(text: str) -> str:
    return re.sub(r"\n\n+", "\n", text).strip()


# ---- names of classes in the reference ----


def test_the_reference_names_what_is_there():
    wrong = []
    for page in sorted((DOCS / "reference").glob("*.md")):
        for target, members in re.findall(
            r"^::: ([\w.]+)\n(?:    options:\n      members: \[([^\]]*)\])?", page.read_text("utf-8"), re.MULTILINE
        ):
            wrong += [
                f"{page.name}: {one}" for one in _absent(target, [m.strip() for m in members.split(",") if m.strip()])
            ]
    assert not wrong


def _absent(target: str, members: list[str]) -> list[str]:
    """Names that the module's source does not define: read, not imported, for some need PyTorch."""
    module, _, attribute = target, "", ""
    path = ROOT.joinpath(*target.split("."))
    if not path.with_suffix(".py").is_file() and not (path / "__init__.py").is_file():
        module, _, attribute = target.rpartition(".")
        path = ROOT.joinpath(*module.split("."))
    source = path.with_suffix(".py")
    if not source.is_file():
        return [target]
    defined = {
        node.name
        for node in ast.parse(source.read_text("utf-8")).body
        if isinstance(node, ast.ClassDef | ast.FunctionDef)
    }
    return [f"{module}.{one}" for one in (*([attribute] if attribute else []), *members) if one not in defined]


def test_a_name_that_is_not_there_is_found():
    assert _absent("edgevision.errors.Gone", []) == ["edgevision.errors.Gone"]
    assert _absent("edgevision.frames", ["Frame", "Gone"]) == ["edgevision.frames.Gone"]
    assert _absent("edgevision.gone.load", []) == ["edgevision.gone.load"]
