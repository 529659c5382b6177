"""An SVG file of matplotlib as part of an HTML page, in the colors of that page."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

from keras_resnet.host.texts import printable
from keras_resnet.reporting.html.markup import Markup

CLASS = "class "
"""What begins the `gid` of an artist that the style sheet of the page is to find; the names of the classes follow."""

DROPPED = {"style", "metadata"}
"""Elements that an inline figure must not have: a style sheet is the page's, and the metadata name other sites."""

INK = "#000000"
"""The color that becomes that of the text around the figure."""


def inline(file: bytes, name: str, title: str, description: str) -> Markup:
    """The figure as an element of a page.

    It has no style attribute, which a Content-Security-Policy with hashes would forbid, no size of its own, nothing
    from elsewhere, and no identifier but those that it refers to.

    Args:
        file: As matplotlib writes it.
        name: Differs from figure to figure of a page; every identifier begins with it.
        title: What a screen reader calls the figure.
        description: What is to be seen in it, in words.
    """
    root = ET.fromstring(file)
    _clean(root)
    references = {reference for element in root.iter() for _, reference in _references(element)}
    for element in root.iter():
        if (own := element.get("id")) is not None:
            del element.attrib["id"]
            if own.startswith(CLASS):
                element.set("class", own.removeprefix(CLASS))
            elif own in references:
                element.set("id", f"{name}-{own}")
        for attribute, reference in list(_references(element)):
            element.set(attribute, element.attrib[attribute].replace(f"#{reference}", f"#{name}-{reference}"))
    for group in root.iter("g"):
        for mark in group.iterfind("defs/path") if "class" in group.attrib else ():
            # A style sheet reaches the uses of a mark, which has to inherit their colors.
            mark.attrib = {name: value for name, value in mark.attrib.items() if name not in ("fill", "stroke")}
    named = {"title": title, "desc": description}
    for place, (tag, text) in enumerate(named.items()):
        element = Element(tag, {"id": f"{name}-{tag}"})
        element.text = printable(text)  # XML has no place for most control characters
        root.insert(place, element)
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "aria-labelledby": " ".join(f"{name}-{tag}" for tag in named),
    }
    return Markup(ET.tostring(root, encoding="unicode"))


def _clean(element: Element) -> None:
    """Takes out of an element, and of those in it, what a page does not need or must not have."""
    element.tag = element.tag.rpartition("}")[2]
    element.tail = None
    if not (element.text or "").strip():
        element.text = None
    attributes = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
    declarations = attributes.pop("style", "").split(";")
    attributes |= {
        name.strip(): value.strip() for name, _, value in (one.partition(":") for one in declarations) if value
    }
    attributes.pop("font-family", None)
    if "d" in attributes:
        attributes["d"] = " ".join(attributes["d"].split())
    element.attrib = {name: "currentColor" if value == INK else value for name, value in attributes.items()}
    for child in list(element):
        if child.tag.rpartition("}")[2] in DROPPED:
            element.remove(child)
        else:
            _clean(child)


def _references(element: Element) -> Iterator[tuple[str, str]]:
    """(attribute, identifier) of what an element refers to."""
    for attribute, value in element.attrib.items():
        if attribute == "href" and value.startswith("#"):
            yield attribute, value[1:]
        elif value.startswith("url(#"):
            yield attribute, value[len("url(#") : -1]
