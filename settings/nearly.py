"""What a person meant who wrote a value as another tool shows it, or in a form that is nearly right.

Each function returns a guess, which a message repeats only where the value's own form accepts it (`Form.nearly`).
"""

from __future__ import annotations

import re

_KINDS = {
    **dict.fromkeys(("deploy", "deployment", "deployments", "deployment.apps", "deployments.apps"), "deployment"),
    **dict.fromkeys(("sts", "statefulset", "statefulsets", "statefulset.apps", "statefulsets.apps"), "statefulset"),
}


def kubernetes_name(text: str) -> str:
    """`Back_Office` for `back-office`; of a Service's DNS name, as web.production.svc, the Service."""
    return re.sub(r"[\s_.]+", "-", re.sub(r"\.[a-z0-9-]+\.svc(\..*)?$", "", text.strip().lower())).strip("-")


def postgresql_name(text: str) -> str:
    return re.sub(r"[\s.-]+", "_", text.strip().lower())


def workload(text: str) -> str:
    """As kubectl writes it: deploy/web, deployments.apps/web."""
    kind, _, name = text.strip().partition("/")
    return f"{_KINDS.get(kind.lower(), kind)}/{name}"


def host(text: str) -> str:
    """Without the scheme, the port, the path or the length of a network's prefix."""
    return re.sub(r"^[a-z]+://", "", text.strip().lower()).partition("/")[0].partition(":")[0]


def url(text: str) -> str:
    """With the scheme that most hosts speak. What has another one, or a user, was meant otherwise."""
    if "://" in text or "@" in text:
        return text
    return f"{'http' if re.match(r'localhost|127[.]', text) else 'https'}://{text.strip()}"


def url_of_a_page(text: str) -> str:
    return url(text) if "/" in text else f"{url(text)}/"


def http_path(text: str) -> str:
    """Of a URL its path."""
    return "/" + re.sub(r"^[a-z]+://[^/]*/?", "", text.strip()).lstrip("/").partition("#")[0]


def zone_id(text: str) -> str:
    """Route 53's own tools write /hostedzone/Z…."""
    last = text.strip().rpartition("/")[2].upper()
    return last if last.startswith("Z") else text


def region(text: str) -> str:
    """Of an availability zone, us-east-1a, its region."""
    return re.sub(r"(?<=\d)[a-z]$", "", text.strip().lower())


def account_id(text: str) -> str:
    """The console writes 1234-5678-9012. YAML takes leading zeros away."""
    digits = re.sub(r"[\s-]", "", text)
    return digits.zfill(12) if digits.isdecimal() and len(digits) > 9 else text


def issuer(text: str) -> str:
    """Without the scheme; of the ARN of its identity provider in IAM, what is behind oidc-provider/."""
    return re.sub(r"^(https?://|arn:aws:iam::\d+:oidc-provider/)", "", text.strip()).rstrip("/")


def role_name(text: str) -> str:
    """Of a role's ARN or path, its name."""
    return text.strip().rpartition("/")[2] if ":instance-profile/" not in text else text


def role_arn(text: str) -> str:
    """Of a session, as `aws sts get-caller-identity` shows it, its role."""
    return re.sub(r"^(arn:aws):sts::(\d+):assumed-role/([^/]+)/.*", r"\1:iam::\2:role/\3", text.strip())


def bucket(text: str) -> str:
    return re.sub(r"^(s3://|arn:aws:s3:::)", "", text.strip()).partition("?")[0].partition("/")[0]


def repository(text: str) -> str:
    """Of the URL by which git clones it, its owner and name."""
    return re.sub(r"^(https?://github\.com/|(ssh://)?git@github\.com[:/])", "", text.strip()).rstrip("/").removesuffix(".git")


def retention(text: str) -> str:
    """Barman knows days, weeks and months: 720h are 30 days, a year 12 months."""
    found = re.fullmatch(r"(\d+) *([a-z]*)", text.strip().lower())
    if not found:
        return text
    number, unit = int(found[1]), found[2][:1]
    if unit == "h":
        return f"{-(-number // 24)}d"
    return f"{number * 12}m" if unit == "y" else f"{number}{unit or 'd'}"


def image(text: str) -> str:
    return re.sub(r"^[a-z]+://", "", text.strip().lower())


def names_with_commas(text: str) -> str:
    """Of a list in YAML or of words, as `rejoin` has them in one text."""
    return ",".join(re.findall(r"[a-z0-9-]+", text.lower()))


def url_of_pages(text: str) -> str:
    """With its scheme, and without a slash at its end or what only a browser needs."""
    bare = re.sub(r"[?#].*", "", text.strip()).rstrip("/")
    return url(bare) if re.match(r"[^/.][^/]*\.", bare) else bare


def key_arn(text: str) -> str:
    """Of a secrets provider as Pulumi writes it, awskms:///arn:aws:kms:…?region=…, the key."""
    found = re.search(r"arn:aws:kms:[^?\s]+", text)
    return found[0] if found else text


def branch(text: str) -> str:
    """As git writes it with where it is: refs/heads/main, origin/main."""
    return re.sub(r"^(refs/)?(heads|remotes/[^/]+|origin)/", "", text.strip())


_UNITS = (("h", r"hours?|hrs?"), ("m", r"minutes?|mins?"), ("s", r"seconds?|secs?"), ("d", r"days?"), ("w", r"weeks?|wks?"))


def duration(text: str) -> str:
    """`30 min`, `2 hours`, `PT5M`, `1.5h`, `30 days` as Go writes them. A capital M without T means months (ISO 8601)."""
    if re.search(r"\d\s*M(?![A-Za-z])", text) and "T" not in text:
        return text
    plain = re.sub(r"\s+", "", re.sub(r"^p(\d+d)?t?", r"\1", text.strip().lower()))
    for unit, words in _UNITS:
        plain = re.sub(rf"(?<=\d)({words})(?=\d|$)", unit, plain)
    if found := re.fullmatch(r"(\d+)([dw])", plain):
        return f"{int(found[1]) * (24 if found[2] == 'd' else 168)}h"
    if found := re.fullmatch(r"(\d+\.\d+)([hm])", plain):
        whole, rest = divmod(round(float(found[1]) * 60), 60)
        units = "hm" if found[2] == "h" else "ms"
        return "".join(f"{amount}{unit}" for amount, unit in zip((whole, rest), units, strict=True) if amount)
    return plain
