"""The paper's numbers beside ours, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io

from keras_resnet.facts import architectures, paper
from keras_resnet.reporting.architecture_table import Column
from keras_resnet.reproduction import table as study_table
from keras_resnet.reproduction.findings import Departure, Finding, Measured
from keras_resnet.reproduction.items import ITEMS

ITEM = ITEMS["table6"]


def findings(item, measured: dict[str, list[Measured]], attempts: int = 2) -> list[Finding]:
    return [Finding(r, attempts if r.networks else 0, tuple(measured.get(r.paper.name, ()))) for r in item.rows]


def page_rows(page: str) -> dict[str, list[str]]:
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:1] == "|"]
    return {line[0]: line[1:] for line in lines}


def csv_rows(table: str) -> dict[str, dict[str, str]]:
    return {row["network"]: row for row in csv.DictReader(io.StringIO(table))}


MEASURED = {
    "ResNet-20": [Measured(8.5, 1.0, 10_000, ()), Measured(9.0, 1.0, 10_000, ())],
    "ResNet-32": [Measured(7.0, 1.0, 10_000, (Departure("mixed_bfloat16", decisive=False),))],
    "ResNet-44": [Measured(7.0, 1.0, 1_000, (Departure("1,000 of 10,000 images counted"),))],
    "ResNet-110": [Measured(6.5, 1.0, 10_000, ())],
}


def test_every_row_has_the_papers_number_and_ours_or_says_that_it_was_not_run():
    rows = page_rows(study_table.page(ITEM, findings(ITEM, MEASURED)))
    assert rows["network"] == ["top-1, paper", "top-1, here", "difference", "runs", "images", "departures"]
    assert rows["Maxout"] == ["9.38", "", "", "", "", ""]
    assert rows["ResNet-20"] == ["8.75", "8.75 ± 0.35", "+0.00", "2", "10,000", ""]
    assert rows["ResNet-32"] == ["7.51", "7.00", "-0.51", "1 of 2", "10,000", "mixed_bfloat16"]
    assert rows["ResNet-44"] == ["7.17", "7.00", "", "1 of 2", "1,000", "1,000 of 10,000 images counted"]
    assert rows["ResNet-56"] == ["6.97", "not run", "", "0 of 2", "", ""]
    assert rows["ResNet-110"] == ["6.43 (6.61 ± 0.16)", "6.50", "-0.11", "1 of 2", "10,000", ""]
    assert [name for name in rows if name not in ("network", "---")] == [row.name for row in paper.TABLE_6.rows]


def test_the_csv_says_the_same_with_every_digit():
    rows = csv_rows(study_table.table(ITEM, findings(ITEM, MEASURED)))
    assert rows["Maxout"]["state"] == "of others" and rows["ResNet-56"]["state"] == "not run"
    ours = rows["ResNet-20"]
    assert (ours["state"], ours["top1_paper"], ours["top1_here"], ours["runs"]) == ("measured", "8.75", "8.75", "2")
    assert float(ours["top1_standard_deviation"]) == 0.125**0.5
    assert (rows["ResNet-44"]["top1_here"], rows["ResNet-44"]["top1_difference"]) == ("7.0", "")
    assert rows["ResNet-110"]["top1_paper"] == "6.61"


def test_a_scaled_study_is_marked_in_its_title_and_below():
    page = study_table.page(ITEM, findings(ITEM, {}), scale="1/8 of the schedule")
    assert page.splitlines()[0] == "# Table 6: CIFAR-10 with augmentation (1/8 of the schedule)"
    assert "- Trained for 1/8 of the schedule: not comparable with the paper, and not compared." in page
    assert "1/8" not in study_table.page(ITEM, findings(ITEM, {}))


def test_a_table_with_two_errors_has_both():
    item = ITEMS["table3"]
    rows = page_rows(study_table.page(item, findings(item, {"ResNet-50": [Measured(23.0, 7.0, 50_000, ())]}, 1)))
    assert rows["ResNet-50"] == ["22.85", "23.00", "+0.15", "6.71", "7.00", "+0.29", "1", "50,000", ""]
    assert rows["GoogLeNet"] == ["", "", "", "9.15", "", "", "", "", ""]


def test_a_figure_shows_its_picture_or_says_that_there_is_none():
    item = ITEMS["figure6"]
    assert "![figure6](figure6.png)" in study_table.page(item, findings(item, {}), picture="figure6.png")
    assert "- Not drawn: no run of it is finished." in study_table.page(item, findings(item, {}))
    assert "Not drawn" not in study_table.page(ITEM, findings(ITEM, {}))


def test_a_figure_of_curves_has_the_training_error_of_its_networks():
    item, seeds = ITEMS["figure1"], [Measured(9.0, 1.0, 10_000, (), training) for training in (4.0, 5.0)]
    rows = page_rows(study_table.page(item, findings(item, {"plain-20": seeds})))
    assert rows["network"][3] == "training, here"
    assert rows["plain-20"][3] == "4.50 ± 0.71" and rows["plain-56"][3] == "not run"
    table = csv_rows(study_table.table(item, findings(item, {"plain-20": seeds})))
    assert (table["plain-20"]["training_here"], table["plain-56"]["training_here"]) == ("4.5", "")
    assert float(table["plain-20"]["training_standard_deviation"]) == 0.5**0.5


def test_figure_7_has_the_mean_response_of_each_network():
    item, responses = ITEMS["figure7"], {"plain-20": [1.0, 2.0]}
    rows = page_rows(study_table.page(item, findings(item, {}), responses=responses))
    assert rows["network"][3:5] == ["layers", "mean response"]
    assert rows["plain-20"][3:5] == ["2", "1.5"] and rows["plain-56"][3:5] == ["", ""]
    table = csv_rows(study_table.table(item, findings(item, {}), responses))
    assert (table["plain-20"]["layers"], table["plain-20"]["mean_response"]) == ("2", "1.5")


def test_table_1_has_the_exact_sizes_beside_the_papers():
    columns = [Column(architectures.imagenet(depth), "A" if depth < 50 else "B") for depth in architectures.IMAGENET]
    rows = page_rows(study_table.architectures_page(columns))
    assert rows["ResNet-50 B"] == ["25,557,032", "53,120", "3,800,000,000", "3,857,973,248"]
    table = csv_rows(study_table.architectures_table(columns))
    assert [int(row["multiply-adds, paper"]) for row in table.values()] == list(paper.MULTIPLY_ADDS.values())
    assert table["ResNet-34 A"]["multiply-adds, here"] == "3644493824"
