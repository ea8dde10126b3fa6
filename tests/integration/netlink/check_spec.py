#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
uapi/qeff_netlink.yaml against the kernel's schema of netlink specifications, and against the header: every number and
name of one is that of the other.

usage: check_spec.py SPEC HEADER CC [SCHEMA]

Without SCHEMA (the kernel's Documentation/netlink/genetlink.yaml) it is looked for where Debian's linux-doc has it and
in the cache of the VM tests; if it cannot be had, the header is checked all the same and the exit status is 77.
"""
import glob
import gzip
import os
import re
import subprocess
import sys

try:
    import jsonschema
    import yaml
except ImportError as e:
    print(f"skipped: {e} (python3-yaml, python3-jsonschema)")
    sys.exit(77)


def find_schema(argument):
    cache = os.environ.get("QEFF_VM_CACHE") or os.path.expanduser("~/.cache/qeff-vm")
    for pattern in [argument] if argument else [
            f"{cache}/netlink/genetlink.yaml",
            f"{cache}/debug/linux-source-*/Documentation/netlink/genetlink.yaml",
            "/usr/share/doc/linux-doc*/Documentation/netlink/genetlink.yaml*",
            "/usr/src/linux*/Documentation/netlink/genetlink.yaml"]:
        for path in sorted(glob.glob(pattern)):
            with gzip.open(path) if path.endswith(".gz") else open(path, "rb") as f:
                return path, yaml.safe_load(f)
    return None, None


def define(name):
    return name.upper().replace("-", "_")


def numbers(spec):
    """(name in the header, number by the specification's rules)"""
    for d in spec["definitions"]:
        prefix = {"state": "QEFF_STATE_", "ras-type": "QEFF_RAS_"}[d["name"]]
        for value, entry in enumerate(d["entries"], d.get("value-start", 0)):
            yield prefix + define(entry), value
    for s in spec["attribute-sets"]:
        prefix = f"QEFF_A_{define(s['name'])}_"
        value = 0
        for a in s["attributes"]:
            value = a.get("value", value + 1)
            yield prefix + define(a["name"]), value
        yield prefix + "MAX", value
    value = 0
    for op in spec["operations"]["list"]:
        value = op.get("value", value + 1)
        yield "QEFF_CMD_" + define(op["name"]), value


def check_header(spec, header, cc):
    expected = dict(numbers(spec))
    lines = [f'#include "{os.path.abspath(header)}"']
    lines += [f'_Static_assert({name} == {value}, "{name} is not {value}");' for name, value in expected.items()]
    texts = {"QEFF_NETLINK_NAME": spec["name"], "QEFF_NETLINK_EVENTS": spec["mcast-groups"]["list"][0]["name"]}
    lines += [f'_Static_assert(!__builtin_strcmp({name}, "{text}"), "{name}");' for name, text in texts.items()]
    lines.append(f'_Static_assert(QEFF_NETLINK_VERSION == {spec.get("version", 1)}, "version");')
    subprocess.run([*cc.split(), "-x", "c", "-fsyntax-only", "-"], input="\n".join(lines), text=True, check=True)

    # and nothing is in the header alone
    with open(header) as f:
        code = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
    in_header = set(re.findall(r"^\s+(QEFF_(?:STATE|RAS|CMD|A)_\w+)", code, re.M))
    extra = {n for n in in_header - set(expected) if not n.endswith(("_UNSPEC", "_END"))}
    if extra:
        sys.exit(f"{header}: not in the specification: {', '.join(sorted(extra))}")
    print(f"{len(expected)} numbers agree with {os.path.basename(header)}")


def check_schema(spec, schema):
    jsonschema.validate(spec, schema)
    # it would see a mistake
    wrong = {**spec, "operations": {"list": [{"name": "device-get", "attribute-sets": "device"}]}}
    try:
        jsonschema.validate(wrong, schema)
    except jsonschema.ValidationError:
        return
    sys.exit("the schema accepts what is wrong")


def main(spec_path, header, cc, schema_path=None):
    with open(spec_path) as f:
        spec = yaml.safe_load(f)
    check_header(spec, header, cc)
    path, schema = find_schema(schema_path)
    if not schema:
        print("skipped: the kernel's schema is not here (package linux-doc)")
        return 77
    check_schema(spec, schema)
    print(f"valid by {os.path.basename(path)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
