from __future__ import annotations

from keras_resnet.reporting.departures import departures


def test_a_departure_is_found_in_classes_functions_and_modules(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    section = "Differs from the paper:\n    {} one\n    line.\n"
    (package / "parts.py").write_text(
        f'"""A module.\n\n{section.format("module")}"""\n\n'
        f"class Layer:\n"
        f'    """A class.\n\n    {section.format("class").replace(chr(10), chr(10) + "    ")}"""\n\n'
        f"def builder():\n"
        f'    """A function.\n\n    Raises:\n        ValueError: never.\n    """\n'
    )
    found = list(departures(package))
    assert found == [("package.parts", "module one line."), ("package.parts.Layer", "class one line.")]
