"""Tables in Markdown: a cell stays a cell whatever it holds."""

from __future__ import annotations

import re
from html import unescape

import pytest

from keras_resnet.host.texts import printable
from keras_resnet.reporting import markdown


def test_a_table_has_its_heads_a_rule_and_a_line_for_each_row():
    assert markdown.table(("network", "error"), [("ResNet-20", "8.75"), ("plain-20", None)]) == (
        "| network | error |\n| --- | --- |\n| ResNet-20 | 8.75 |\n| plain-20 |  |"
    )
    assert markdown.table(iter("ab"), iter([])) == "| a | b |\n| --- | --- |"


def test_whole_numbers_are_grouped_and_other_values_are_as_python_writes_them():
    written = [markdown.cell(value) for value in (75290, -1234567, 0.125, True, None, "75290")]
    assert written == ["75,290", "-1,234,567", "0.125", "True", "", "75290"]


def test_no_value_ends_its_cell_or_its_line():
    assert markdown.cell(" a\n|b\t c ") == r"a \|b c"
    # A backslash in front of the pipe would be the one that is escaped.
    assert markdown.cell(r"a\|b") == r"a\\\|b"
    assert markdown.table(["a|b"], [["c|d"]]) == "| a\\|b |\n| --- |\n| c\\|d |"


NAMES = ["a|b", "<script>", "*not*", "`code`", "[x](y)", "~~gone~~", "# title", "$x$", "a\nb", "\\", "&lt;", "\x1b[31m"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_nothing_but_text(name):
    """By a parser of Markdown, as HTML without any element but its paragraph."""
    markdown_it = pytest.importorskip("markdown_it")
    html = markdown_it.MarkdownIt("commonmark").render(f"classes: {markdown.text(name)}, dog.")
    assert set(re.findall(r"</?(\w+)", html)) == {"p"}
    told = unescape(re.sub(r"</?p>", "", html)).strip()
    assert told == f"classes: {printable(' '.join(name.split()))}, dog."


@pytest.mark.parametrize("value", [*NAMES, "``", "a`b``c", "`", ("tuple",)])
def test_code_holds_whatever_it_is(value):
    markdown_it = pytest.importorskip("markdown_it")
    html = markdown_it.MarkdownIt("commonmark").render(f"- value: {markdown.code(value)}")
    found = re.search(r"<code>(.*)</code>", html)
    assert found and unescape(found[1]) == printable(" ".join(str(value).split()))


def test_no_cell_begins_a_tag_and_code_stays_code():
    assert markdown.cell("<img src=x> of `a < b` and <b>") == r"\<img src=x> of `a < b` and \<b>"
    assert markdown.cell("\x1b[2J") == "\\x1b[2J"
