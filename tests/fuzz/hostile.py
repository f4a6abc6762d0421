"""What strangers may write: texts, and values in the spelling of each format."""

# Stands for the absolute path of a folder that nothing may touch; it is put in when an input is written.
DECOY = "@DECOY@"
TEXTS = (
    "", " ", ".", "..", "...", "../../decoy/kept.txt", "../../../../decoy", f"{DECOY}/new", f"{DECOY}/kept.txt",
    "/etc/passwd", "~", "~nosuchuser/x", "~root/x", "/dev/null/x", "/dev/full", "/proc/self/mem", "a\0b", "a/b\\c",
    "C:\\x", "-x", "--suite", "::error::x", "##[error]x", "##vso[task.complete]x", "%0A::warning::x", "x\n::error::y",
    "\r", "\r\n", "\u202eabc", "\u2066x", "\u2028", "\u2029", "\x85", "\x1c", "\x0b", "\u200b", "\ufeff", "\ufffd",
    "\U000e0001", "\ud800", "\udcff", "e\u0301", "\u0130", "\x1b]52;c;eA==\x07", "\x1b[2J", "\x9b2J", "\x7f", "\x07",
    "\x08", "<script>x</script>", "</script><!--", "&amp;", "| a | b |", "`", "``` x", "$x", "{x}", "{0}",
    "{instruction}", "%s", "%(x)s", "[x](http://x)", "@everyone", "#1", "http://u:p@x/", "https://[::1",
    "file:///etc/passwd", "None", "null", "nan", "true", "NaN", "inf", "1e999", "0x10", "1_000", "\u0661", "\u00b2",
    "-0", "9" * 30, "a" * 300, "\u00e9" * 200, "x" * 5000, "a b", "a:b", "a=b", "a@b=c", "*", "[!a", "?", "Retrieval",
    "STS", "STSBenchmark", "NFCorpus", "test/default", "minilm", "default", "test", "MTEB STS17 (en-en)", "MTEB x",
    "hub", "mirror:", "mirror:..", "api:http://x#y", "2026-11-21T12:00:00+00:00", "__class__", "__init__", "type",
    "constructor", "sentence_transformers.models.Pooling", "os.system", "builtins.eval", "x" * 70 + ".safetensors",
)  # fmt: skip
LONG = "a" * 100_000
DEEP = 100_000
# As JSON spells them; YAML and Python read nearly all of them too.
JSON = (
    "NaN", "Infinity", "-Infinity", "1e400", "-1e400", "9" * 5000, "-" + "9" * 5000, "1." + "0" * 5000 + "1", "-0.0",
    "0", "-1", "1", "2", "0.5", "1.0", "100", "1e308", "5e-324", "9223372036854775807", "9223372036854775808",
    "18446744073709551616", "-9223372036854775809", "2147483648", "1e22", "1E5", "true", "false", "null", '""', "[]",
    "{}", "[[]]", "[null]", "[{}]", '[""]', '{"": ""}', '{"a": {}}', '{"a": 1, "a": 2}', '"\\ud800"',
    '"\\udfff\\ud800"', '"a\\u0000b"', '"\\u202e"', '"\\u2028"', "01", "+1", ".5", "1.", "0x10", "'a'", "tru", '"', "{",
    "[1,]", "/**/1", "1 2", "[1, \"a\", null]", "[0.1, NaN]",
)  # fmt: skip
HUGE_JSON = (
    "[" * DEEP + "]" * DEEP, '{"a":' * DEEP + "1" + "}" * DEEP, "[" * DEEP, f'"{LONG}"', "[" + "0," * 100_000 + "0]",
    "[" + '"a",' * 50_000 + '"a"]', "{" + ",".join(f'"{number}": 0' for number in range(20_000)) + "}",
    "[" * 500 + "]" * 500, "[" * 2000 + "]" * 2000, '{"a":' * 900 + "1" + "}" * 900,
)  # fmt: skip
YAML = (
    *JSON, ".nan", ".inf", "-.inf", "~", "yes", "no", "on", "2024-13-45", "2024-02-30", "2026-11-21",
    "2026-11-21T12:00:00Z", "12:30:45", "1:2:3:4", "0o17", "0b2", "1_000", "&a [*a]", "&a {x: *a}", "*nosuch",
    "!!python/object/apply:os.system [x]", "!!python/name:os.system", "!!binary '%'", "!!binary aGVsbG8=",
    "!!set {a, b}", "!!omap [a: 1]", "!!pairs [a: 1, b]", "!!timestamp x", "!!int x", "!!float x", "!!bool x",
    "!!null x", "!!str 1", "!x y", "{? [a] : b}", "{? {a: b} : c}", "{1: 2}", "{null: 1}", "{true: 1}", "{<<: 1}",
    "{<<: [1]}", "{<<: {a: 1}, a: 2}", '"\\x00"', '"\\uD800"', "|\n   a", "@", "%", "\t", "- - -", "{a: 1, a: 2}",
    "!!float 1e400", "9e9999", "!!int 0b" + "1" * 5000, "-", "? a", "--- a", "...", "!<tag:yaml.org,2002:int> x",
)  # fmt: skip
_LAUGHS = "[&a0 [x,x,x,x,x,x,x,x,x]," + ",".join(f"&a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)) + "]"
HUGE_YAML = (*HUGE_JSON, _LAUGHS, "&a [" + "*a," * 10_000 + "]", "[? " * 5000, "- " * 5000 + "a", "!!int " + "9" * 5000)
TOML = (
    "nan", "inf", "-inf", "1e400", "9" * 5000, "-" + "9" * 5000, "-0.0", "0", "-1", "1", "0.5", "1e308", "5e-324",
    "9223372036854775808", "18446744073709551616", "true", "false", "null", '""', "''", "[]", "{}", "[[]]", "[{}]",
    '[""]', '{a = 1}', "{a = 1, a = 2}", "1979-05-27T07:32:00Z", "1979-05-27", "07:32:00", "1979-02-30", "0xff", "0o8",
    "0b1", "1_000", "01", "+1", ".5", "1.", '"\\u0000"', '"\\ud800"', '"\\u202e"', '"""\na"""', "'''\na", "[1, 'a']",
    "[nan]", '{"" = 1}', '{"a.b" = 1}', "{a.b = 1, a.c = 2}", "x", "# y",
)  # fmt: skip
HUGE_TOML = (
    "[" * DEEP + "]" * DEEP, "{a=" * DEEP + "1" + "}" * DEEP, f'"{LONG}"', "[" + "0," * 50_000 + "0]",
    "[" * 400 + "]" * 400, "{" + "a." * 3000 + "a = 1}",
)  # fmt: skip
PYTHON = (
    "None", "True", "1e400", "-1e400", "9" * 5000, "0x" + "f" * 5000, "-0.0", "1j", "1 + 1j", "...", "b'x'", "{1}",
    "()", "(1,)", "[]", "{}", "2 ** 9 ** 9", "-'a'", "--1", "not 1", "~1", "+True", "f'{x}'", "'a' 'b'",
    "'a' * 10 ** 9", "x", "x.y", "x()", "x[0]", "lambda: 0", "[*x]", "{**x}", "[x for x in y]", "open('/etc/passwd')",
    "os.system('true')", "__import__('os')", "dict(a=1)", "dict(**x)", "dict(a=1, a=2)", "dict({})", "TaskConfig(a=1)",
    "{'a': 1, 'a': 2}", "{x: 1}", "{1: 2}", "{None: 1}", "'\\N{nosuch}'", "'\\ud800'", "'\\x00'", "'\\d'", "1_0", "01",
    "1if 1else 2", "(yield)", "await x", "x := 1", "print", "1 is 1", "'''a\nb'''", "b'\\xff'", "$",
)  # fmt: skip
HUGE_PYTHON = (
    "[" * DEEP + "]" * DEEP, "(" * 150 + ")" * 150, "[" * 90 + "]" * 90, "-" * DEEP + "1", "-" * 900 + "1",
    "{1:" * 90 + "1" + "}" * 90, repr(LONG), "[" + "0," * 20_000 + "0]", "1" + "+1" * 20_000, "x" + ".y" * 20_000,
    "dict(a=" * 80 + "1" + ")" * 80,
)  # fmt: skip
# Bytes that upset readers of text.
BYTES = (
    b"\0", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc3", b"\xf4\x90\x80\x80", b"\xe2\x80\xa8",
    b"\xe2\x80\xae", b"\xc2\x85", b"\x1b]52;c;eA==\x07", b"\x1b[2J", b"\r", b"\n", b"\r\n", b"\x0c", b"\x1c", b"\x1a",
    b"\t", b"\\", b'"', b"'", b"{", b"}", b"[", b"]", b",", b":", b"#", b"---\n", b"...\n", b"%", b"&", b"*", b"!",
    b"\n::error::x\n", b"\\ud800", b"\\u0000", b"NaN", b"1e400", b"9" * 5000, b" " * 5000,
)  # fmt: skip
STATUSES = (
    b"HTTP/1.1 200 OK", b"HTTP/1.0 200", b"HTTP/1.1 204 No Content", b"HTTP/1.1 100 Continue", b"HTTP/1.1 101 Up",
    b"HTTP/1.1 206 x", b"HTTP/1.1 301 x", b"HTTP/1.1 304 x", b"HTTP/1.1 400 \x1b[2J", b"HTTP/1.1 401 x",
    b"HTTP/1.1 404 x", b"HTTP/1.1 408 x", b"HTTP/1.1 413 x", b"HTTP/1.1 429 x", b"HTTP/1.1 500 x", b"HTTP/1.1 501 x",
    b"HTTP/1.1 503 x", b"HTTP/1.1 999 x", b"HTTP/1.1 0 x", b"HTTP/1.1 -1 x", b"HTTP/1.1 2000 x", b"HTTP/1.1 20\xb2 x",
    b"HTTP/9.9 200 OK", b"HTTP/1.1  200", b"ICY 200 OK", b"", b" ", b"{", b"GET / HTTP/1.1",
    b"HTTP/1.1 200 " + b"x" * 70_000,
)  # fmt: skip
HEADERS = (
    b"Retry-After: -1", b"Retry-After: 1e999", b"Retry-After: 99999999999999999999", b"Retry-After: \xb2",
    b"Retry-After: nan", b"Retry-After: Mon, 99 Foo 99999 99:99:99 GMT",
    b"Retry-After: Wed, 21 Oct 2026 07:28:00 +9999999999", b"Content-Length: -1", b"Content-Length: 1e3",
    b"Content-Length: 0", b"Content-Length: 99999999999", b"Content-Length: 1, 2", b"Content-Length: " + b"9" * 5000,
    b"Content-Encoding: gzip", b"Content-Encoding: deflate, br, zstd", b"Content-Encoding: x",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Location: file:///etc/passwd",
    b"Location: //", b"Set-Cookie: \x00", b"Set-Cookie: a=b; expires=x", b"Content-Type: text/html; charset=x",
    b"Connection: Upgrade", b"WWW-Authenticate: Negotiate x", b"x", b": x", b" x: y", b"x : y", b"x: " + b"y" * 70_000,
    b"\r\n".join([b"x: y"] * 200), b"x: \x1b[2J", b"x: \xff", b"x: a\rb: c", b"x: a\nb: c",
)  # fmt: skip
