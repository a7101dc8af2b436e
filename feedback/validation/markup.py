"""Find markup and scripts in a text that `plain.unmask` has read. All repeats are bounded."""

import re

ANY, ACTIVE = 0.5, 1.0

# Known names, a quoted attribute or a closing tag: `<3`, `a < b` and `<name>` are no markup.
_TAG = re.compile(
    r"<(?:!(?:--|doctype|entity|element|attlist|\[)|\?\s{0,9}(?:xml|php|echo|=)"
    r"|/[a-z][\w:-]{0,40}\s{0,9}>|[a-z][\w:-]{0,40}\s{1,9}[\w:-]{1,40}\s{0,9}=\s{0,9}[\"'`]"
    r"|(?:a|abbr|article|aside|audio|b|big|blink|blockquote|body|br|button|canvas|center|code|dd|"
    r"details|dialog|div|dl|dt|em|fieldset|figure|font|footer|frameset|h[1-6]|head|header|hr|html|"
    r"i|image|img|input|ins|isindex|kbd|label|layer|li|main|map|mark|marquee|nav|noscript|ol|"
    r"option|p|picture|plaintext|pre|q|s|section|select|small|source|span|strike|strong|sub|"
    r"summary|sup|table|tbody|td|textarea|tfoot|th|thead|tr|track|tt|u|ul|var|video|wbr|xml|xmp|"
    r"xss)(?=[\s/>]))",
    re.IGNORECASE,
)
_ELEMENT = re.compile(
    r"<\s{0,9}/?\s{0,9}(?:script|iframe|frame|object|embed|applet|svg|math|meta|link|base|form|"
    r"style|template)(?=[\s/>\\]|$)|<%[\s=@!-]"
    r"|<[a-z][^<]{0,300}?[^\w<]on[a-z]{2,30}\s{0,9}=",  # with a handler, any name will do
    re.IGNORECASE,
)
_HANDLER = re.compile(
    r"[\s\"'/]on(?!(?:ce|ly|es?|line|to|going)\b)[a-z]{3,24}\s{0,9}=\s{0,9}(?:[\"'`]|[^\s<>]{0,60}[(`])"
    r"|\bsrcdoc\s{0,9}=|=\s{0,9}(?:alert|prompt|confirm|eval)\b",
    re.IGNORECASE,
)
_LINK = re.compile(r"(?:java|vb)script:|data:(?:text/(?:ht|x)ml|image/svg)", re.IGNORECASE)
_TEMPLATE = re.compile(r"\{\{[^{}]{0,400}\}\}|\{%[^{}]{0,400}%\}|\$\{[^{}]{0,400}\}")
# From the bracket back to the name, as brackets are rare; no plural such as `alert(s)`.
_CALL = re.compile(
    r"[(`](?:(?<=\balert.)|(?<=\bprompt.)|(?<=\bconfirm.)|(?<=\beval.)|(?<=alert\).)|(?<=prompt\).)"
    r"|(?<=expression.)|(?<=fromCharCode.)|(?<=ActiveXObject.))(?!(?:s|ed|ing)\))"
    r"|\((?:alert|prompt|confirm|eval)\)"
    r"|\[(?:(?<=\btop.)|(?<=\bself.)|(?<=\bparent.)|(?<=\bwindow.))[\"'/\d]",
    re.IGNORECASE,
)


def weigh(text: str) -> float:
    """Return 1 for what would run in a page, 0.5 for other markup, 0 for neither."""
    if is_active(text):
        return ACTIVE
    return ANY if "<" in text and _TAG.search(text) else 0.0


def is_active(text: str) -> bool:
    """Look for scripts, handlers, script links and templates; without its sign, no look."""
    return bool(
        ("<" in text and _ELEMENT.search(text))
        or ("=" in text and _HANDLER.search(text))
        or (":" in text and _LINK.search("".join(text.split())))
        or ("{" in text and _TEMPLATE.search(text))
        or _CALL.search(text)
    )
