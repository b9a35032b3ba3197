"""The tree of events, made of the parents that they name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Node = dict[str, Any]


def nested(events: Iterable[Mapping[str, Any]], function_events: Iterable[Mapping[str, Any]]) -> list[Node]:
    """The events as a tree: each with ``event_type`` and ``children``; siblings by start time.

    An event whose parent is not among them is a root, and so is the first of a circle.
    """
    kinds = (("provider", events), ("function", function_events))
    nodes: list[Node] = [{**event, "event_type": kind, "children": []} for kind, found in kinds for event in found]
    nodes.sort(key=lambda node: node.get("started_at") or 0.0)
    by_id = {node["span_id"]: node for node in nodes if node.get("span_id") is not None}
    roots: list[Node] = []
    for node in nodes:
        parent = by_id.get(node.get("parent_span_id"))
        (roots if parent is None else parent["children"]).append(node)
    return [*roots, *_circles(nodes, roots, by_id)]


def _circles(nodes: list[Node], roots: list[Node], by_id: dict[Any, Node]) -> Iterator[Node]:
    """What no root leads to: the first of each circle, cut from its parent."""
    reached = {id(node) for _, node in walk(roots)}
    for node in nodes:
        if id(node) not in reached:
            siblings = by_id[node["parent_span_id"]]["children"]
            siblings[:] = [other for other in siblings if other is not node]
            reached.update(id(below) for _, below in walk([node]))
            yield node


def walk(tree: Iterable[Node]) -> Iterator[tuple[int, Node]]:
    """Every node with its depth (0 for roots), parents before children, without recursion."""
    stack = [(0, node) for node in reversed(list(tree))]
    while stack:
        depth, node = stack.pop()
        yield depth, node
        stack.extend((depth + 1, child) for child in reversed(node.get("children") or ()))
