"""Templates for make_cases.py, all written for this test."""

CALL = {"id": "call00001", "type": "function",
        "function": {"name": "weather", "arguments": {"city": "Zürich", "days": 2, "at": 1.5}}}

VARIABLES = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "add_generation_prompt": True,
    "messages": [
        {"role": "system", "content": "  Be brief.\n"},
        {"role": "user", "content": "Hi <b>\"you\"</b> & 'me'"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": "{\"t\": 21}", "tool_call_id": "call00001", "name": "weather"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\nIt is 21°."},
        {"role": "user", "content": [{"type": "text", "text": "And"}, {"type": "text", "text": "now?"}]},
    ],
    "tools": [
        {"type": "function", "function": {
            "name": "weather", "description": "Weather <now> & \"later\"",
            "parameters": {"type": "object", "properties": {
                "city": {"type": "string", "description": "a city"},
                "days": {"type": ["integer", "null"], "minimum": 0, "maximum": 18446744073709551615},
                "unit": {"enum": ["C", "F"]}}, "required": ["city"]}}},
        {"type": "function", "function": {"name": "empty", "parameters": {}}},
    ],
    "documents": None,
    "d": {"b": 1, "a": "x", "C": None, "items": [1, 2], "nested": {"k": [True, 1.0, -0.5]}},
    "l": [3, 1, 2],
    "words": ["pear", "Fig", "apple", "fig"],
    "s": "Hello, wörld! it's a-b\n second\tline",
    "n": None,
    "floats": [1.0, 0.1, 1e16, 1e-5, 123456789.5, 1e22, -2.5, 3.0e-10],
    "odd": "quote ' and \" \\ \n \u00e9 \u200b \u65e5 \x7f \ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    "html": "<a href=\"x\">'&'</a>",
    "people": [{"name": "Ann", "age": 30, "tags": ["x", "y"]}, {"name": "bob", "age": 25, "tags": []},
               {"name": "Cy", "age": None, "tags": ["z"], "job": {"title": "cook"}}],
}

# One construct each; {{ … }} around and "|" between where there are several.
EXPRESSIONS = {
    "literals": ["1", "1.5", "1e3", "'a\\n\\'b'", '"x\\u00e9\\x41\\t\\z"', "true", "None", "none", "[1, 'a', none]",
                 "(1, 2)", "(1,)", "()", "{'a': 1, 'b': [2]}", "{}", "'a' 'b'", "-1", "-(2)", "+3", "10 if false else 2"],
    "arithmetic": ["1 + 2 * 3", "7 // 2", "-7 // 2", "7 % 3", "-7 % 3", "7 / 2", "4 / 2", "2 - 5", "1.5 + 1", "true + 1",
                   "'ab' * 3", "2 * 'ab'", "[1] + [2]", "[0] * 2", "(1,) + (2,)", "7.5 // 2", "-7.5 % 2", "1 ~ 2 ~ none",
                   "'a' ~ 1 + 2", "'a' + 'b' ~ 'c'"],
    "compare": ["1 == 1.0", "1 == true", "'1' == 1", "1 < 2 < 3", "1 < 3 < 2", "'a' < 'b'", "[1, 2] == [1, 2]",
                "(1,) == [1]", "{'a': 1} == {'a': 1.0}", "none == none", "nope == nope2", "nope == none", "1 != 2",
                "1 in l", "9 not in l", "'ell' in s", "'a' in d", "'zz' in d", "not 1 in l", "'x' in nope", "2 >= 2", "3 <= 2"],
    "logic": ["1 and 0", "0 or 'x'", "not none", "'' or none", "[] and 1", "1 if l else 2", "'y' if n else 'z'",
              "'only' if false", "1 if 0 else 2 if 0 else 3", "not (1 and 0) or 0", "n or d.b"],
    "access": ["d.a", "d['a']", "d.zz", "d['zz']", "d['items']", "l[0]", "l[-1]", "l[9]", "s[0]", "s[-1]", "s.zz",
               "d.nested.k[2]", "l.0", "people[0].name", "messages[0]['content']", "n.x", "bos_token", "nope", "d.get('a')",
               "d.get('q')", "d.get('q', 7)", "d.get('C', 7)", "people[-1].job.title"],
    "slices": ["l[1:]", "l[:-1]", "l[::-1]", "l[::2]", "s[:5]", "s[-4:]", "s[::-1]", "l[5:]", "l[2:0:-1]", "l[-100:2]", "s[2:4]",
               "words[1:3]", "(1, 2, 3)[1:]", "l[0:100:7]", "messages[::-1][0].role", "s[8:9]"],
    "methods": ["s.strip('H!e')", "'  x '.strip()", "' x '.lstrip()", "' x '.rstrip() ~ '.'", "s.split()", "s.split(',')",
                "'a,b,c'.split(',', 1)", "'a,b,c'.rsplit(',', 1)", "' a  b c '.split(none, 1)", "s.startswith('Hello')",
                "s.endswith(('x', 'line'))", "s.replace('l', 'L')", "s.replace('l', 'L', 2)", "s.upper()", "s.lower()",
                "s.title()", "'hELLO wORLD'.capitalize()", "'a\\nb\\r\\nc\\n'.splitlines()", "', '.join(words)", "s.find('w')",
                "s.find('zz')", "s.count('l')", "'</think>a'.split('</think>')[-1]", "'abc'.removeprefix('a')",
                "'abc'.removesuffix('c')", "d.keys() | list", "d.values() | list", "d.items() | list", "d.nested.items() | list",
                "'aXbX'.replace('X', '')", "'ab'.replace('', '-')", "'ß'.upper()", "'a.b'.split('.')[0]", "'xxaxx'.strip('x')",
                "d.copy() == d", "'a'.join([])"],
    "tests": ["nope is defined", "d.a is defined", "d.zz is undefined", "n is none", "d is none", "s is string", "l is string",
              "d is mapping", "l is mapping", "l is iterable", "s is iterable", "n is iterable", "1 is iterable", "l is sequence",
              "s is sequence", "d is sequence", "(1,) is sequence", "1 is number", "true is number", "1.5 is number", "'1' is number",
              "true is boolean", "1 is boolean", "1 is integer", "true is integer", "1.0 is float", "1 is float", "true is true",
              "1 is true", "false is false", "3 is odd", "4 is even", "9 is divisibleby 3", "9 is divisibleby(2)", "1 is eq 1", "1 is ne 1",
              "1 is lt 2", "2 is ge(2)", "'a' is in ['a']", "n is not none", "s is not string", "range is callable", "s is callable", "nope is not defined and 1", "1 is equalto 1 or 0",
              "d.zz is defined and d.zz", "(l | map('string')) is iterable", "(l | map('string')) is sequence", "n is string or n is none"],
    "filters": ["'  a ' | trim", "'xax' | trim('x')", "l | length", "s | length", "d | length", "nope | length", "l | first", "l | last",
                "[] | first", "s | first", "d | first", "l | join('-')", "l | join", "people | join(', ', attribute='name')", "nope | default('q')",
                "n | default('q')", "n | default('q', true)", "'' | default('q', boolean=true)", "'' | d('q')", "s | upper", "s | lower", "s | title", "s | capitalize",
                "s | replace('l', 'L')", "s | replace('l', 'L', 1)", "'a\\nb\\n\\nc' | indent", "'a\\nb' | indent(2, true)", "'a\\n\\nb' | indent(2, blank=true)",
                "'a\\nb' | indent(width=3, first=true)", "'a\\nb' | indent('> ')", "12 | string + 'x'", "none | string", "'12' | int + 1", "'x' | int", "'x' | int(7)",
                "'3.9' | int", "3.9 | int", "' 4 ' | int", "'2.5' | float", "1 | float", "'x' | float", "'ff' | int(base=16)", "'abc' | list", "d | list", "l | list",
                "l | sort", "l | sort(reverse=true)", "words | sort", "words | sort(case_sensitive=true)", "people | sort(attribute='name') | map(attribute='name') | list",
                "words | unique | list", "l | reverse | list", "'abc' | reverse",
                "d | items | list", "d | dictsort", "{'b': 1, 'a': 2} | dictsort(by='value')", "{'b': 1, 'A': 2} | dictsort(true, reverse=true)", "s | wordcount if false else 1",
                "people | selectattr('age') | map(attribute='name') | list", "people | selectattr('job', 'defined') | map(attribute='name') | list",
                "people | rejectattr('age', 'none') | map(attribute='name') | join(',')", "people | selectattr('name', 'equalto', 'bob') | list | length",
                "people | selectattr('job.title', 'defined') | first", "messages | selectattr('role', 'equalto', 'system') | first",
                "messages | rejectattr('role', 'eq', 'user') | map(attribute='role') | join(' ')", "l | select('gt', 1) | list", "l | reject('odd') | list", "['', 'a'] | select | list",
                "words | map('upper') | join(' ')", "words | map('replace', 'i', 'I') | list", "people | map(attribute='job.pay', default='none') | list", "people | map(attribute='tags.0') | list",
                "none | map('upper') | list", "nope | selectattr('x') | list", "(l | select('gt', 9)) and 'true'", "html | e", "html | escape", "html | safe", "'<' | safe + '<' + 1 | string",
                "'a' + ('<' | safe)", "'%s-%d%%' | format('x', 3)", "'%c' | format(233)", "s | safe | length", "l | count", "'a b' | title", "'x-y (z' | title"],
    "tojson": ["d | tojson", "d | tojson(indent=2)", "d | tojson(indent=4)", "tools | tojson", "tools[0] | tojson(indent=4)", "html | tojson", "odd | tojson", "odd | tojson(ensure_ascii=true)",
               "floats | tojson", "none | tojson", "true | tojson", "[] | tojson(indent=2)", "{} | tojson(indent=2)", "[[], {}, [1]] | tojson(indent=1)", "d | tojson(sort_keys=true) if false else 1",
               "{'b': 1, 'a': 2} | tojson(sort_keys=true)", "d | tojson(separators=(',', ':'))", "(1, 2) | tojson", "{1: 2, none: 4, 0.5: 5} | tojson", "'</script>' | tojson", "[1] | tojson(indent='\\t')",
               "[1] | tojson(indent=0)", "tools[0].function.parameters.properties.days.maximum", "s | tojson | safe"],
    "repr": ["d", "l", "people", "[none, true, 1.0, 'a\\'b', \"q\\\"r\", '\\'\"', nope]", "odd", "[odd]", "floats", "(1, 'a')", "[[1], {'k': (2,)}]", "html", "[html]", "n", "[n, '\\n\\t']"],
    "functions": ["range(3) | list", "range(1, 4) | list", "range(5, 0, -2) | list", "range(0) | list", "dict(a=1, b='x')", "dict({'k': 1}, z=2)", "namespace(a=1).a",
                  "strftime_now('%Y-%m-%d %H:%M:%S')", "strftime_now('%d %b %Y|%B|%A|%a|%p|%I|%y|%j|%%|%-d|%-m|%e|%F|%T')"],
    "errors": ["nope.x", "nope()", "nope + 'a'", "'a' + 1", "'a' + none", "none + 1", "1 + 'a'", "l + 1", "1 / 0", "1 // 0", "5 % 0", "1 < 'a'", "none < 1", "n[0].x", "l.append(1)", "d.update({})",
               "d.pop('a')", "range(1000000)", "range(1, 2, 0)", "none | length", "1 | length", "1 | list", "none | first", "l | nofilter", "1 is notest", "l()", "s.zz()", "'a'.split('')", "{[]: 1}", "[] in d",
               "1 in 'a'", "1 in n", "nope | tojson", "range | tojson", "(l | map('string')) | tojson", "(l | map('string')) | length", "l | map('string') | last", "raise_exception('a ' ~ 1)",
               "none.strip()", "'a' * 'b'", "l[1:'a']", "l[::0]", "none | items | list", "'x' | items | list", "'x' | dictsort", "[1, 'a'] | sort", "s.startswith(1)", "','.join([1])", "people | map(attribute='zz.y') | list",
               "-'a'", "d.nope.x.y", "'%d' | format('x')", "'%s' | format"],
    "syntax": ["1 +", "(1", "[1, 2", "{'a' 1}", "a b", "'x", "1 is", "a.", "a[", "f(a=1, 2)", "a | ", "not", "1 if", "$", "a..b", "f(", "{1:}", "a ? b", "]", "'a' | 'b'"],
}

BLOCKS = {
    "trim blocks": "a\n{% if true %}\nb\n{% endif %}\nc\n",
    "lstrip": "x\n    {% if true %}\n  y\n    {% endif %}\n  z",
    "minus": "a  \n {%- if true -%}  \n b \n {%- endif -%} \n c",
    "plus": "a\n  {%+ if true +%}\nb{% endif +%}\nc",
    "print keeps newline": "{{ 1 }}\n{{ 2 }}\n  {{- 3 }}  {{ 4 -}}  \n 5",
    "comments": "a {# x #}\nb\n  {# y #}\nc {#- z -#} d {# {{ }} %} #}e{#-#}f",
    "comment alone on a line": "a\n  {#- c #}\n b\n  {#+ c +#}\n d",
    "last newline": "a\n\n",
    "carriage returns": "a\r\n{% if true %}\r\nb\r{% endif %}c\r\n",
    "braces": "{ {a} }} %} {{ '}}' }} {{ {'a': {'b': 1}}.a.b }}",
    "newlines in tags": "{{ 1 +\n  2 }}{%\n if true\n%}x{% endif %}{{ 'a\nb' }}",
    "text after tag on the line": "  {% if true %}x{% endif %}  \n  y {% if true %}z{% endif %}",
    "if chain": "{% for i in range(4) %}{% if i == 0 %}a{% elif i == 1 %}b{% elif i == 2 %}c{% else %}d{% endif %}{% endfor %}",
    "loop": "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}"
            "[{{ loop.previtem }}{{ loop.nextitem }}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}];{% endfor %}",
    "loop over dict": "{% for k in d %}{{ k }}={{ d[k] }};{% endfor %}{% for k, v in d.items() %}{{ loop.index }}{{ k }}={{ v }};{% endfor %}{% for k, v in d | items %}{{ k }}{% endfor %}{% for p in d | dictsort %}{{ p }}{% endfor %}",
    "loop if": "{% for x in l if x > 1 %}{{ loop.index }}:{{ x }}/{{ loop.length }}{{ loop.last }} {% else %}none{% endfor %}",
    "loop else": "{% for x in [] %}x{% else %}empty{% endfor %}{% for x in nope %}x{% else %}undef{% endfor %}{% for x in l if x > 9 %}{% else %}filtered{% endfor %}",
    "loop nested": "{% for a in [1,2] %}{% for b in 'xy' %}{{ loop.index }}{{ a }}{{ b }} {% endfor %}{{ loop.index }}{% endfor %}",
    "loop unpack": "{% for a, (b, c) in [(1, (2, 3)), [4, 'xy']] %}{{ a }}{{ b }}{{ c }};{% endfor %}{% for (a, b) in [[1, 2]] %}{{ a }}{{ b }}{% endfor %}",
    "loop tuple": "{% for x in 1, 2, 3 %}{{ x }}{% endfor %}",
    "loop none items": "{% for x in [none, 1, none] %}{{ loop.previtem }}{{ loop.nextitem }},{% endfor %}",
    "break continue": "{% for x in range(9) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "scope of loops": "{% set x = 1 %}{% for i in l %}{{ x }}{% set x = i %}{{ x }}{% endfor %}{{ x }}{{ i }}",
    "scope of ifs": "{% if true %}{% set y = 2 %}{% endif %}{{ y }}{% for i in [1,2] %}{% if i == 1 %}{% set z = 5 %}{% endif %}{{ z }}{% endfor %}",
    "namespace": "{% set ns = namespace(a=none, n=0) %}{% for i in l %}{% set ns.n = ns.n + i %}{% set ns.last = i %}{% endfor %}{{ ns.n }}{{ ns.last }}{{ ns.a }}{{ ns.q }}{{ ns.a is none }}{{ ns['n'] }}",
    "namespace print": "{{ namespace(a=1, b='x') }}{{ namespace() is mapping }}{{ namespace() is iterable }}",
    "set": "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set c = 1, %}{{ c }}{% set (e, f) = [3, 4] %}{{ e }}{{ f }}{% set g = 1 if false else 2 %}{{ g }}",
    "set block": "{% set x %}\n  a{{ 1 }}\n{% endset %}[{{ x }}]{% set y | trim | upper %}  b {% endset %}[{{ y }}]{% set ns = namespace() %}{% set ns.b %}q{% endset %}{{ ns.b }}",
    "set block scope": "{% set q %}{% set inner = 1 %}x{% endset %}{{ inner }}{{ q }}",
    "filter block": "{% filter upper | replace('B', '-') %}abc {{ 'd' }}{% endfilter %}{% filter indent(2) %}a\nb{% endfilter %}",
    "macros": "{% macro m(a, b=2, c=a) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }}|{{ m(1, 3) }}|{{ m(a=1, c=9) }}|{{ m() }}|{{ m(1, c=none) }}|{% set x = m(7) %}{{ x | length }}{{ m is callable }}",
    "macro whitespace": "{%- macro m(x) -%}\n  [{{ x }}]\n{%- endmacro -%}\n a {{ m(1) }} b",
    "macro closure": "{% macro m() %}{{ v }}{% endmacro %}{% set v = 1 %}{{ m() }}{% set v = 2 %}{{ m() }}{% for v in [3] %}{{ m() }}{% endfor %}",
    "macro recursion": "{% macro tree(x) %}{% if x is mapping %}{{ '{' }}{% for k, v in x.items() %}{{ k }}:{{ tree(v) }}{% endfor %}{{ '}' }}{% elif x is iterable and x is not string %}[{% for y in x %}{{ tree(y) }}{% endfor %}]{% else %}{{ x }}{% endif %}{% endmacro %}{{ tree(d) }}",
    "macro and loop": "{% macro m() %}{{ loop is defined }}{% endmacro %}{% for i in [1] %}{{ m() }}{% macro k() %}{{ i }}{{ loop.index }}{% endmacro %}{{ k() }}{% endfor %}",
    "generation": "a{% generation %}b{{ 1 }}{% set z = 1 %}{% endgeneration %}c{{ z }}",
    "generation lines": "{%- for m in messages[:2] %}\n  {% generation %}\n{{ m.role }}\n  {% endgeneration %}\n{%- endfor %}",
    "generator once": "{% set g = l | map('string') %}{{ g | join }}{{ g | join }}{% set h = l | select %}{% if h %}yes{% endif %}{{ h | list | length }}",
    "undefined prints": "[{{ nope }}{{ d.zz }}{{ l[7] }}{{ 'x' if false }}]",
    "error: argument too many": "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}",
    "error: argument unknown": "{% macro m(a) %}{% endmacro %}{{ m(b=2) }}",
    "error: unpack": "{% for a, b in [[1]] %}{% endfor %}",
    "error: set on dict": "{% set d.x = 1 %}",
    "error: iterate none": "{% for x in none %}{% endfor %}",
    "error: iterate int": "{% for x in 3 %}{% endfor %}",
    "error: raise in macro": "{% macro m() %}{{ raise_exception('no ' + s[:5]) }}{% endmacro %}{{ m() }}",
    "error: unknown tag": "{% frobnicate %}",
    "error: no end": "{% if true %}x",
    "error: wrong end": "{% if true %}x{% endfor %}",
    "error: stray end": "x{% endif %}",
    "error: unclosed tag": "{{ 1",
    "error: unclosed block": "{% if true",
    "error: unclosed comment": "{# a",
    "error: break outside": "{% break %}",
    "error: break in macro in loop": "{% for i in l %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}",
    "error: include": "{% include 'x' %}",
    "error: set twice": "{% set a b = 1 %}",
    "error: default order": "{% macro m(a=1, b) %}{% endmacro %}",
}

# Templates as families of models have them.
FAMILIES = {
    "chatml with thinking": """
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
    {{- "<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- endif %}
{%- set ns = namespace(multi=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi and message.role == "user" and message.content is string and not (message.content.startswith('<r>') and message.content.endswith('</r>')) %}
        {%- set ns.multi = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}{%- set content = message.content %}{%- else %}{%- set content = '' %}{%- endif %}
    {%- if message.role == "assistant" %}
        {%- set reasoning = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>' + message.role }}
        {%- if loop.index0 > ns.last and (loop.last or reasoning) %}
            {{- '\\n<think>\\n' + reasoning.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '\\n' + content }}
        {%- endif %}
        {%- for call in message.tool_calls or [] %}
            {%- if call.function %}{%- set call = call.function %}{%- endif %}
            {{- '\\n<tool_call>\\n{"name": "' + call.name + '", "arguments": ' }}
            {%- if call.arguments is string %}{{- call.arguments }}{%- else %}{{- call.arguments | tojson }}{%- endif %}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\\n<tool_response>\\n' ~ content ~ '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}{{- '<|im_end|>\\n' }}{%- endif %}
    {%- elif not loop.first %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- endif %}
""",
    "headers with date and tools": """{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}{%- set tools = none %}{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Today Date: " + date_string + "\\n\\n" }}
{%- if tools is not none %}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}
        {%- if message.content is string %}
            {{- message['content'] | trim + '<|eot_id|>' }}
        {%- else %}
            {%- for part in message.content %}
                {%- if part.type == 'text' %}{{- part.text }}{%- endif %}
            {%- endfor %}
            {{- '<|eot_id|>' }}
        {%- endif %}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("one call at a time") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
        {{- '{"name": "' + tool_call.name + '", "parameters": ' }}
        {{- tool_call.arguments | tojson }}
        {{- "}<|eot_id|>" }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or (message.content is iterable and message.content is not string) %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""",
    "bracketed instructions": """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS][" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}
                        {{- '"' + key + '": "' + val + '"' }}
                    {%- else %}
                        {{- '"' + key + '": ' + val|tojson }}
                    {%- endif %}
                    {%- if not loop.last %}{{- ", " }}{%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" }}{%- endif %}
            {%- endfor %}
            {{- "[/AVAILABLE_TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + (message["content"] | map(attribute="text") | join(" ")) + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif (message.tool_calls is defined and message.tool_calls is not none) %}
        {{- "[TOOL_CALLS][" }}
        {%- for tool_call in message.tool_calls %}
            {%- set out = tool_call.function|tojson %}
            {{- out[:-1] }}
            {%- if not tool_call.id is defined or tool_call.id|length != 9 %}
                {{- raise_exception("Tool call IDs should be alphanumeric strings with length 9!") }}
            {%- endif %}
            {{- ', "id": "' + tool_call.id + '"}' }}
            {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" + eos_token }}{%- endif %}
        {%- endfor %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- elif message["role"] == "tool_results" or message["role"] == "tool" %}
        {%- if message.content is defined and message.content.content is defined %}
            {%- set content = message.content.content %}
        {%- else %}
            {%- set content = message.content %}
        {%- endif %}
        {{- '[TOOL_RESULTS]{"content": ' + content|string + ", " }}
        {{- '"call_id": "' + message.tool_call_id + '"}[/TOOL_RESULTS]' }}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported, got " + message.role) }}
    {%- endif %}
{%- endfor %}
""",
    "turns": """{{ bos_token }}{%- if messages[0]['role'] == 'system' -%}
    {%- set first_user_prefix = messages[0]['content'] + '\\n\\n' -%}{%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}{%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'assistant') -%}{%- set role = "model" -%}{%- else -%}{%- set role = message['role'] -%}{%- endif -%}
    {{ '<start_of_turn>' + role + '\\n' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}{{ '<image>' }}{%- elif item['type'] == 'text' -%}{{ item['text'] | trim }}{%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{ '<end_of_turn>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{'<start_of_turn>model\\n'}}{%- endif -%}
""",
    "turns must alternate": "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% endfor %}",
    "short tags": "{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}{{'<|system|>\\n' + message['content'] + '<|end|>\\n'}}{% elif message['role'] == 'user' and message['content'] is string %}{{'<|user|>\\n' + message['content'] + '<|end|>\\n'}}{% elif message['role'] == 'assistant' %}{{'<|assistant|>\\n' ~ message['content'] ~ '<|end|>\\n'}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}",
    "full-width bars": """{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% set ns = namespace(is_first=false, is_tool=false, is_output_first=true, system_prompt='') %}{%- for message in messages %}{%- if message['role'] == 'system' %}{% set ns.system_prompt = message['content'] %}{%- endif %}{%- endfor %}{{bos_token}}{{ns.system_prompt}}{%- for message in messages %}{%- if message['role'] == 'user' and message['content'] is string %}{%- set ns.is_tool = false -%}{{'<｜User｜>' + message['content']}}{%- endif %}{%- if message['role'] == 'assistant' and message['content'] is none %}{%- set ns.is_tool = false -%}{%- for tool in message['tool_calls']%}{%- if not ns.is_first %}{{'<｜Assistant｜><｜calls｜>' + tool['type'] + '<｜sep｜>' + tool['function']['name'] + '\\n```json\\n' + tool['function']['arguments'] | tojson + '\\n```'}}{%- set ns.is_first = true -%}{%- else %}{{'\\n' + tool['type']}}{{'<｜end｜>'}}{%- endif %}{%- endfor %}{%- endif %}{%- if message['role'] == 'assistant' and message['content'] is not none %}{% set content = message['content'] %}{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}{{'<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>'}}{%- endif %}{%- if message['role'] == 'tool' %}{%- set ns.is_tool = true -%}{%- if ns.is_output_first %}{{'<｜outputs｜>' + message['content']}}{%- set ns.is_output_first = false %}{%- else %}{{'\\n' + message['content']}}{%- endif %}{%- endif %}{%- endfor -%}{% if ns.is_tool %}{{'<｜outputs▁end｜>'}}{% endif %}{% if add_generation_prompt and not ns.is_tool %}{{'<｜Assistant｜>'}}{% endif %}""",
    "types by macro": """{%- macro json_to_python_type(json_spec) %}
{%- set basic_type_map = {"string": "str", "number": "float", "integer": "int", "boolean": "bool"} %}
{%- if basic_type_map[json_spec.type] is defined %}
    {{- basic_type_map[json_spec.type] }}
{%- elif json_spec.type == "array" %}
    {{- "list[" + json_to_python_type(json_spec|items) + "]" }}
{%- elif json_spec.type is iterable and json_spec.type is not string %}
    {{- "Union[" }}
    {%- for t in json_spec.type %}
        {{- json_to_python_type({"type": t}) }}
        {%- if not loop.last %}{{- "," }}{%- endif %}
    {%- endfor %}
    {{- "]" }}
{%- else %}
    {{- "Any" }}
{%- endif %}
{%- endmacro %}
{%- for tool in tools %}
    {%- if tool.function is defined %}{%- set tool = tool.function %}{%- endif %}
    {{- '{"name": "' + tool.name + '", "description": "' + tool.name + '(' }}
    {%- for param_name, param_fields in (tool.parameters.properties or {})|items %}
        {{- param_name + ": " + json_to_python_type(param_fields) }}
        {%- if not loop.last %}{{- ", " }}{%- endif %}
    {%- endfor %}
    {{- ")" }}
    {%- if tool.return is defined %}{{- " -> " + json_to_python_type(tool.return) }}{%- endif %}
    {{- " - " + (tool.description | default("")) + "\\n" }}
    {{- '"parameters": ' + (tool.parameters | tojson) + "}\\n" }}
{%- endfor %}
""",
}


def expressions(group, items):
    for i, e in enumerate(items):
        yield f"{group} {i}: {e}", "{{ " + e + " }}"


CASES = [c for group, items in EXPRESSIONS.items() for c in expressions(group, items)]
CASES += list(BLOCKS.items()) + list(FAMILIES.items())
