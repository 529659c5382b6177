"""Tables in Markdown: a cell stays a cell whatever it holds."""

from __future__ import annotations

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


def test_a_name_is_shown_as_it_is():
    assert markdown.literal("golden retriever, 狐 #1") == "golden retriever, 狐 #1"
    assert markdown.literal("a_b*c* $x$ <b>|`[y](z)") == r"a\_b\*c\* \$x\$ \<b\>\|\`\[y\](z)"
