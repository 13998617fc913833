"""Two words for building XML: add an element, and the text of a whole."""

from __future__ import annotations

import xml.etree.ElementTree as ET


def add(parent: ET.Element, tag: str, text: str = "", **attributes: str) -> ET.Element:
    """A new last child of ``parent``."""
    element = ET.SubElement(parent, tag, attributes)
    if text:
        element.text = text
    return element


def text_of(element: ET.Element) -> str:
    """The element as text, indented for people."""
    ET.indent(element)
    return ET.tostring(element, encoding="unicode")
