#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Everything public in include/hwlayer has a kernel-doc comment that names all of its parts.

A function's comment names each parameter, a struct's each field, an enum's each value, a callback
type's each parameter, on a line " * @name: ...".  What returns int says "Return:".
"""
import glob
import os
import re
import sys

TOP = os.environ.get("TOP", os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))


def declarations(text):
    """(comment or None, declaration) of everything at file scope, in order."""
    text = re.sub(r"^#(.*\\\n)*.*$", "", text, flags=re.M)  # preprocessor lines
    text = re.sub(r'extern "C" \{|^\}$', "", text, flags=re.M)
    pos, comment = 0, None
    while True:
        m = re.compile(r"\s*").match(text, pos)
        pos = m.end()
        if pos == len(text):
            return
        if text.startswith("/*", pos):
            end = text.index("*/", pos) + 2
            comment = text[pos:end] if text.startswith("/**", pos) else None
            pos = end
            continue
        depth, end = 0, pos
        while depth or text[end] != ";":
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        yield comment, re.sub(r"/\*.*?\*/", "", text[pos:end], flags=re.S)
        comment, pos = None, end + 1


def names_of(parts):
    """Names that a list of C declarators declares: "char a[3], *b" gives a and b.

    Callers split at commas, so callbacks with several parameters need a typedef, as they have.
    """
    names = []
    for part in parts:
        part = re.sub(r"\[[^]]*\]", "", part)
        pointer = re.search(r"\(\s*\*\s*(\w+)\s*\)", part)
        words = re.findall(r"\w+", part)
        if pointer:
            names.append(pointer.group(1))
        elif words and words != ["void"]:
            names.append(words[-1])
    return names


def parse(decl):
    """(kind, name, parts, returns an error code) of a declaration."""
    decl = " ".join(re.sub(r"__attribute__\s*\(\(.*?\)\)\)?", "", decl).split())
    m = re.match(r"(struct|enum) (\w+)(?: \{(.*)\})?$", decl)
    if m:
        kind, name, body = m.groups()
        if body is None:
            return kind, name, [], False
        if kind == "enum":
            return kind, name, [v.split("=")[0].strip() for v in body.split(",") if v.strip()], False
        fields = [f for field in body.split(";") for f in field.split(",")]
        return kind, name, names_of(fields), False
    m = re.match(r"typedef (\w+) \(\*(\w+)\)\((.*)\)$", decl)
    if m:
        return "typedef", m.group(2), names_of(m.group(3).split(",")), m.group(1) == "int"
    m = re.match(r"(.*?)(\w+)\((.*)\)$", decl)
    if m:
        return "", m.group(2), names_of(m.group(3).split(",")), m.group(1).strip() == "int"
    raise ValueError("cannot make sense of: " + decl)


def complaints(comment, kind, name, parts, returns):
    """What is wrong with the comment of one declaration."""
    if comment is None:
        return ["has no kernel-doc comment"]
    bad = []
    lines = [re.sub(r"^\s*/?\*+/?", "", l).strip().removesuffix("*/").strip()
             for l in comment.splitlines()]
    title = (kind + " " if kind else "") + name + " - "
    first = next((l for l in lines if l), "")
    if not (first.startswith(title) and len(first) > len(title)):
        bad.append("its comment does not begin with '%swhat it is'" % title)
    told = re.findall(r"^@(\w+): +\S", "\n".join(lines), flags=re.M)
    bad += ["does not name @%s" % p for p in parts if p not in told]
    bad += ["names @%s, which it has not" % p for p in told if p not in parts]
    bad += ["names @%s twice" % p for p in sorted(set(told)) if told.count(p) > 1]
    if told != parts and not bad:
        bad.append("names its parts in another order")
    if returns and not any(l.startswith("Return: ") for l in lines):
        bad.append("has no 'Return:'")
    return bad


SAMPLE = """
#define X 1
#ifdef __cplusplus
extern "C" {
#endif
/** struct a - it */
struct a;
/**
 * struct b - it
 * @x: one
 * @names: two
 */
struct b {
	int x, y; /* @y: */
	char (*names)[3];
};
/**
 * f - do
 * @p: given
 * @q: not there
 */
int f(const char *const *p, void (*cb)(int));
/* g - plain comment */
void g(void);
/**
 * typedef h - call
 * @s: state
 */
typedef void (*h)(int s, void *user);
/** enum e - it */
enum e { E_A = 0, E_B };
#ifdef __cplusplus
}
#endif
"""
FOUND = {"a": [], "b": ["does not name @y"],
         "f": ["does not name @cb", "names @q, which it has not", "has no 'Return:'"],
         "g": ["has no kernel-doc comment"], "h": ["does not name @user"],
         "e": ["does not name @E_A", "does not name @E_B"]}


def check(text):
    out = {}
    for comment, decl in declarations(text):
        kind, name, parts, returns = parse(decl)
        out[name] = complaints(comment, kind, name, parts, returns)
    return out


def main():
    headers = sorted(glob.glob(os.path.join(TOP, "include/hwlayer/*.h")))
    print("1..%d" % (len(headers) + 1))
    got = check(SAMPLE)
    failed = got != FOUND
    print("%sok 1 - the checker finds what is wrong in a sample" % ("not " if failed else ""))
    if failed:
        print("# " + repr(got))
    for i, path in enumerate(headers, 2):
        with open(path) as f:
            found = check(f.read())
        bad = ["%s: %s" % (name, what) for name, list_ in found.items() for what in list_]
        if not found:
            bad.append("nothing found in it")
        print("%sok %d - %s, %d declarations" % ("not " if bad else "", i, os.path.basename(path),
                                                 len(found)))
        for line in bad:
            print("# " + line)
        failed |= bool(bad)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
