"""Counts untouched pairs that PyYAML reads in another way after a merge."""
import json
import sys

import yaml


def plain(node):
    if isinstance(node, yaml.ScalarNode):
        return [node.tag, node.value]
    if isinstance(node, yaml.SequenceNode):
        return [node.tag, [plain(item) for item in node.value]]
    return [node.tag, [[plain(key), plain(value)] for key, value in node.value]]


def pair(text, index):
    key, value = yaml.compose(text).value[index]
    return [plain(key), plain(value)]


differences = 0
for case in json.load(open(sys.argv[1])):
    for before, after in case["pairs"]:
        differences += pair(case["base"], before) != pair(case["merged"], after)
print(f"PyYAML {yaml.__version__}: {differences} differences")
