"""One wish, in every spelling there is for it, meets one verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hypothesis import assume, given
from hypothesis import strategies as st

from domain.policy import PERMISSIVE, PRESETS, STANDARD, STRICT, Policy, policy_from_document
from tests.unit.policy_models import DIRECTORY, Document, bind, document, local_volume, rules

Forms = st.SearchStrategy[Document]
OWNERS = [
    policy_from_document(
        {
            "preset": "standard",
            "images": {"allow": ["docker.io/library/*", "registry.example.com/**"]},
            "ports": {"published": ["80", "127.0.0.1:1-100", "53/udp"]},
            "binds": {"roots": ["/srv", "/run"], "never": ["/srv/secret", "/etc"]},
            "containers": {
                "cap_add": ["NET_ADMIN", "SYS_NICE"],
                "devices": ["/dev/dri/*"],
                "security_opt": ["label=*"],
                "host_pid": True,
            },
        }
    )
]
POLICIES = st.sampled_from([*PRESETS.values(), *OWNERS])


def in_any_case(text: str) -> st.SearchStrategy[str]:
    return st.sampled_from([text, text.lower(), text.upper(), text.capitalize()])


@st.composite
def spelled(draw: st.DrawFn, path: str) -> str:
    """The path with the detours that change nothing."""
    if path.startswith("/run/") and draw(st.booleans()):
        path = "/var" + path
    result = ""
    for part in path.split("/")[1:]:
        detours = st.sampled_from(["", "/", "/.", "/./", "/x/.."])
        # One behind a link that every host has would lead elsewhere.
        result += ("" if result.startswith("/var") else draw(detours)) + "/" + part
    return result + draw(st.sampled_from(["", "/", "/.", "//"]))


PATHS = st.sampled_from(
    ["/srv/data", "/srv/secret/x", "/srv", "/etc/shadow", "/etc", "/", "/run", "/run/docker.sock",
     "/run/containerd", "/root", "/dev/sda", f"{DIRECTORY}/data", "/srv/projects/other", "/home/a"]
)  # fmt: skip


def binds(path: str) -> Forms:
    """Mounts, volumes in disguise, configs and secrets: all of them show the path."""
    forms: list[Callable[[str], Document]] = [
        bind,
        lambda text: document({"volumes": [f"{text}:/mnt"]}),
        lambda text: document({"volumes": [f"{text}:/mnt:rw,z"]}),
        lambda text: document({"volumes": [{"type": "volume", "source": text, "target": "/m"}]}),
        lambda text: document(secrets={"s": {"file": text}}),
        lambda text: document(configs={"c": {"file": text}}),
        lambda text: document({"env_file": [{"path": text}]}),
    ]
    # The kernel follows the links in these: detours are something else there.
    devices: list[Callable[[str], Document]] = [
        lambda text: local_volume(type="none", o="bind", device=text),
        lambda text: local_volume(type="nfs", o="ro,rbind", device=text),
        lambda text: local_volume(o="bind", device=text),
        lambda text: local_volume(type="none", o="bind", device=text.lstrip("/") or "/"),
    ]
    return st.one_of(
        st.tuples(st.sampled_from(forms), spelled(path)).map(lambda pair: pair[0](pair[1])),
        st.sampled_from(devices).map(lambda form: form(path)),
    )


@st.composite
def publications(draw: st.DrawFn, number: int, address: str, protocol: str) -> Document:
    """A port, on an address or on all of them."""
    addresses = {
        "": ["", "0.0.0.0", "::", "[::]", "0:0:0:0:0:0:0:0"],
        "127.0.0.1": ["127.0.0.1", "::ffff:127.0.0.1"],
        "::1": ["::1", "[::1]", "0:0:0:0:0:0:0:1"],
    }
    at = draw(st.sampled_from(addresses[address]))
    how = draw(in_any_case(protocol))
    suffix = "" if how == "tcp" and draw(st.booleans()) else f"/{how}"
    in_short = f"[{at.strip('[]')}]:" if ":" in at else f"{at}:" if at else ""
    short = f"{in_short}{number}:9000{suffix}"
    published = draw(st.sampled_from([number, str(number), f"{number}-{number}"]))
    long = {"target": 9000, "published": published, "protocol": how, "mode": "ingress"}
    return document({"ports": [draw(st.sampled_from([short, {**long, "host_ip": at}]))]})


@st.composite
def capabilities(draw: st.DrawFn, name: str) -> Document:
    """With the prefix and without it."""
    prefix = draw(st.sampled_from(["", "CAP_"])) if name != "ALL" else ""
    return document({"cap_add": [draw(in_any_case(prefix + name))]})


@st.composite
def options(draw: st.DrawFn, key: str, value: str) -> Document:
    """With both signs that Docker has for it."""
    sign = draw(st.sampled_from(["=", ":"]))
    return document({"security_opt": [draw(in_any_case(key)) + sign + draw(in_any_case(value))]})


def one_of(*documents: Document) -> Forms:
    return st.sampled_from(documents)


def host_networks() -> Forms:
    service = {"networks": {"out": None}}
    return one_of(
        document({"network_mode": "host"}),
        document({"network_mode": "HOST "}),
        document(service, networks={"out": {"name": "host", "external": True}}),
        document(service, networks={"out": {"external": {"name": "host"}}}),
        document(service, networks={"out": {"name": "host"}}),
        document(service, networks={"out": {"driver": "host"}}),
        document({"networks": ["host"]}, networks={"host": {"external": "true"}}),
    )


def gpus() -> Forms:
    request = {"capabilities": [["gpu"]], "count": -1}
    reserved = {"resources": {"reservations": {"devices": [request]}}}
    return one_of(
        document({"gpus": "all"}), document({"gpus": [request]}), document({"deploy": reserved})
    )


def privileges() -> Forms:
    hook = {"command": ["x"], "privileged": "true"}
    return st.one_of(
        in_any_case("true").map(lambda word: document({"privileged": word})),
        one_of(
            document({"privileged": True}),
            document({"post_start": [hook]}),
            document({"pre_stop": [{"command": ["x"]}, hook]}),
        ),
    )


def images(path: str) -> Forms:
    """An image of the hub, by the names that the hub has."""
    plain = path.removeprefix("library/")
    names = [path, plain, *(f"{hub}/{name}" for hub in HUBS for name in (path, plain))]
    return st.sampled_from([*names, *(f"{name}:latest" for name in names)]).map(
        lambda name: document({"image": name})
    )


HUBS = ["docker.io", "index.docker.io", "Docker.IO"]


def devices(path: str) -> Forms:
    return spelled(path).flatmap(
        lambda text: one_of(
            document({"devices": [text]}),
            document({"devices": [f"{text}:/dev/x:rwm"]}),
            document({"devices": [{"source": text, "target": "/dev/x", "permissions": "r"}]}),
        )
    )


def others_networks() -> Forms:
    service = {"networks": {"n": None}}
    return one_of(
        document({"network_mode": "theirs"}),
        document(service, networks={"n": {"name": "theirs", "external": True}}),
        document(service, networks={"n": {"name": "theirs"}}),
        document({"networks": ["theirs"]}, networks={"theirs": {"external": True}}),
    )


def others_volumes() -> Forms:
    service = {"volumes": ["v:/mnt"]}
    return one_of(
        document(service, volumes={"v": {"name": "theirs", "external": True}}),
        document(service, volumes={"v": {"name": "theirs"}}),
        document({"volumes": ["theirs:/mnt"]}, volumes={"theirs": {"external": True}}),
        document({"volumes": [{"type": "volume", "source": "theirs"}]}),
    )


def limits(megabytes: int) -> Forms:
    texts = [f"{megabytes}m", f"{megabytes}MB", str(megabytes * 2**20), f"{megabytes * 1024}kib"]
    return st.sampled_from(texts).flatmap(
        lambda text: one_of(
            document({"mem_limit": text}),
            document({"deploy": {"resources": {"limits": {"memory": text}}}}),
        )
    )


WISHES: st.SearchStrategy[Forms] = st.one_of(
    PATHS.map(binds),
    st.builds(
        publications,
        st.sampled_from([53, 80, 443, 8080, 22]),
        st.sampled_from(["", "127.0.0.1", "::1"]),
        st.sampled_from(["tcp", "udp"]),
    ),
    st.sampled_from(["ALL", "NET_ADMIN", "SYS_ADMIN", "CHOWN", "BPF"]).map(capabilities),
    st.sampled_from(
        [("seccomp", "unconfined"), ("apparmor", "unconfined"), ("label", "disable"),
         ("no-new-privileges", "true"), ("seccomp", "builtin")]
    ).map(lambda pair: options(*pair)),
    st.sampled_from(["/dev/dri/card0", "/dev/sda", "/dev/dri"]).map(devices),
    st.sampled_from(["library/nginx", "someone/nginx"]).map(images),
    st.sampled_from([64, 512]).map(limits),
    st.sampled_from([host_networks, gpus, privileges, others_networks, others_volumes]).map(
        lambda forms: forms()
    ),
)  # fmt: skip


@given(st.data(), WISHES, POLICIES)
def test_every_form_of_a_wish_meets_one_verdict(
    data: st.DataObject, forms: Forms, policy: Policy
) -> None:
    first, second = data.draw(forms, label="first"), data.draw(forms, label="second")
    assert rules(first, policy) == rules(second, policy)


@given(st.data(), WISHES)
def test_permissive_allows_everything_and_strict_no_more_than_standard(
    data: st.DataObject, forms: Forms
) -> None:
    wish = data.draw(forms)
    assert not rules(wish, PERMISSIVE)
    assert rules(wish, STANDARD) <= rules(wish, STRICT)


@given(st.data(), WISHES, WISHES, POLICIES)
def test_wishes_together_break_what_each_of_them_breaks(
    data: st.DataObject, first: Forms, second: Forms, policy: Policy
) -> None:
    one, other = data.draw(first), data.draw(second)
    both = _together(one, other)
    assert rules(one, policy) | rules(other, policy) == rules(both, policy)


def _together(one: Document, other: Document) -> Document:
    """Two services of one project; what they declare must not be called the same."""
    result: dict[str, object] = dict(one)
    for section in ("networks", "volumes", "configs", "secrets"):
        if section in one or section in other:
            result[section] = {**_section(one, section), **_section(other, section)}
    same = {
        (section, key)
        for section in ("networks", "volumes", "configs", "secrets")
        for key in _section(one, section).keys() & _section(other, section).keys()
        if _section(one, section)[key] != _section(other, section)[key]
    }
    assume(not same)
    services = _section(one, "services"), _section(other, "services")
    return {**result, "services": {"web": services[0]["web"], "db": services[1]["web"]}}


def _section(of: Document, name: str) -> Mapping[str, object]:
    found = of.get(name, {})
    assert isinstance(found, Mapping)
    return found
