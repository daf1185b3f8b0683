#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Do two architectures compute the same?  compare.py A B, each the output of tests/arch/digest.

Digests must be equal.  Lines "NAME about VALUE..." must agree to a few units of f32's last place,
relative to the largest value of the line.  TAP.
"""
import sys

NEAR = 2e-6


def read(path):
    with open(path, encoding="ascii") as f:
        return dict(line.rstrip("\n").split(" ", 1) for line in f)


def near(a, b):
    a, b = ([float(x) for x in t.split()[1:]] for t in (a, b))
    limit = NEAR * max([1.0] + [abs(x) for x in a if x == x and abs(x) != float("inf")])
    return len(a) == len(b) and all(x == y or x != x and y != y or abs(x - y) <= limit
                                    for x, y in zip(a, b))


def main():
    a, b = read(sys.argv[1]), read(sys.argv[2])
    groups = {}
    for name in sorted(a.keys() | b.keys()):
        kind = name.split("/")[0]
        x, y = a.get(name, "missing"), b.get(name, "missing")
        if x.startswith("about") and y.startswith("about"):
            kind, same = kind + ", to the last places", near(x, y)
        else:
            kind, same = kind + ", bit for bit", x == y
        good, bad = groups.setdefault(kind, ([], []))
        (good if same else bad).append(name)
    print(f"1..{len(groups)}")
    for n, (kind, (good, bad)) in enumerate(sorted(groups.items()), 1):
        print(f"{'not ' if bad else ''}ok {n} - {kind}: {len(good)} equal, {len(bad)} not")
        for name in bad[:20]:
            print(f"#   {name}: {a.get(name, 'missing')[:300]} | {b.get(name, 'missing')[:300]}")
    return any(bad for _, bad in groups.values()) or not groups


sys.exit(main())
