"""Renders cases.py's templates with jinja2, set up as transformers does.

    pip install jinja2
    python make_cases.py        # writes cases.json

The committed file was made with Jinja2 3.1.6 and Python 3.11.
"""

import json
from datetime import datetime

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from cases import CASES, VARIABLES

NOW = datetime(2025, 3, 7, 9, 5, 2)


class Generation(jinja2.ext.Extension):
    """{% generation %} as transformers' AssistantTracker renders it: a call block."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def environment():
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                          sort_keys=sort_keys)

    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = NOW.strftime
    return env


def main():
    env = environment()
    cases = []
    for name, source in CASES:
        case = {"name": name, "source": source}
        try:
            case["text"] = env.from_string(source).render(**VARIABLES)
        except Exception as e:
            case["error"] = f"{type(e).__name__}: {e}"
        cases.append(case)
    with open("cases.json", "w") as f:
        json.dump({"now": NOW.isoformat() + "Z", "variables": VARIABLES, "cases": cases}, f, indent=1)
        f.write("\n")
    print(len(cases), "cases,", sum("error" in c for c in cases), "errors")


if __name__ == "__main__":
    main()
