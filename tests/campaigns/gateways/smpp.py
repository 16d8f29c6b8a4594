"""A message centre on loopback with the part of SMPP 3.4 that Kannel needs.

It accepts messages, confirms their delivery, and passes on messages from phones.

Source: SMPP Protocol Specification v3.4, sections 4 and 5; user data headers by 3GPP TS 23.040, 9.2.3.24.1.
"""

import socketserver
import struct
import threading
from collections import defaultdict
from typing import Final, NamedTuple

from campaigns.text import GSM7_BASIC

BIND_TRANSCEIVER, SUBMIT_SM, DELIVER_SM, UNBIND, ENQUIRE_LINK = 0x09, 0x04, 0x05, 0x06, 0x15
_RESPONSE: Final = 0x80000000
_HAS_HEADER: Final = 0x40
_UCS2: Final = 8
_ALPHABET: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION: Final = dict(zip((0x0A, 0x14, 0x28, 0x29, 0x2F, 0x3C, 0x3D, 0x3E, 0x40, 0x65), "\f^{}\\[~]|€", strict=True))
assert set(_ALPHABET) - {"\x1b"} == GSM7_BASIC


class Key(NamedTuple):
    """The key shared by the parts of a message."""

    destination: str
    reference: int
    coding: int


class Centre(socketserver.ThreadingTCPServer):
    """Stores the received texts, assembled from their parts."""

    allow_reuse_address = daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.parts: dict[Key, dict[int, bytes]] = defaultdict(dict)
        """The octets of each part, by message and the part's number."""
        self.expected: dict[Key, int] = {}
        self.bound: list[_Session] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.server_address[1])

    def submit(self, phone: str, text: str) -> None:
        """Pass on a message from a phone to 4711, in parts if it is long."""
        for number, body in enumerate(incoming(phone, text)):
            self.bound[-1].write(DELIVER_SM, 0x10000 + number, body)

    def texts(self) -> list[str]:
        """All texts received completely."""
        whole = [key for key, number in self.expected.items() if len(self.parts[key]) == number]
        return [decoded(b"".join(part for _, part in sorted(self.parts[key].items())), key.coding) for key in whole]


class _Session(socketserver.StreamRequestHandler):
    server: Centre

    def handle(self) -> None:
        sent = 0
        while len(head := self.rfile.read(16)) == 16:
            length, command, _status, sequence = struct.unpack(">IIII", head)
            body = self.rfile.read(length - 16)
            if command & _RESPONSE:
                continue
            answer = b"centre\0" if command == BIND_TRANSCEIVER else b""
            if command == BIND_TRANSCEIVER:
                self.server.bound.append(self)
            if command == SUBMIT_SM:
                sent += 1
                answer = f"{sent:x}\0".encode()
                self._take(body)
            self.write(command | _RESPONSE, sequence, answer)
            if command == SUBMIT_SM:
                self.write(DELIVER_SM, sent, receipt(sent, body))

    def write(self, command: int, sequence: int, body: bytes) -> None:
        """Send a request or an answer."""
        self.wfile.write(struct.pack(">IIII", 16 + len(body), command, 0, sequence) + body)

    def _take(self, body: bytes) -> None:
        destination, esm_class, coding, message = fields(body)
        reference, total, number, start = 0, 1, 1, 0
        if esm_class & _HAS_HEADER:
            reference, total, number, start = *message[3:6], message[0] + 1
        key = Key(destination, reference, coding)
        self.server.expected[key] = total
        self.server.parts[key][number] = message[start:]


def fields(body: bytes) -> tuple[str, int, int, bytes]:
    """Of a submit_sm (4.4.1): destination, esm_class, data_coding and short_message."""
    _service, rest = body.split(b"\0", 1)
    _source, rest = rest[2:].split(b"\0", 1)
    destination, rest = rest[2:].split(b"\0", 1)
    esm_class, rest = rest[0], rest[3:]
    _schedule, rest = rest.split(b"\0", 1)
    _validity, rest = rest.split(b"\0", 1)
    coding, length = rest[2], rest[4]
    return destination.decode(), esm_class, coding, rest[5 : 5 + length]


def receipt(number: int, body: bytes) -> bytes:
    """A deliver_sm (4.6.1) that says the message was delivered (appendix B)."""
    destination = fields(body)[0].encode()
    dates = "submit date:2611281200 done date:2611281200"
    text = f"id:{number:x} sub:001 dlvrd:001 {dates} stat:DELIVRD err:000 text:".encode()
    head = b"\0\x01\x01" + destination + b"\0\x05\0Vestnik\0" + b"\x04\0\0\0\0\0\0\0\0"
    return head + bytes([len(text)]) + text


def incoming(phone: str, text: str) -> list[bytes]:
    """The deliver_sm of a message from a phone: GSM-7 if the text fits it, else UCS-2; one of each part."""
    coding, octets = (0, encoded(text)) if set(text) <= GSM7_BASIC else (_UCS2, text.encode("utf-16-be"))
    alone, size = (160, 153) if coding == 0 else (140, 134)
    parts = [octets] if len(octets) <= alone else [octets[at : at + size] for at in range(0, len(octets), size)]
    reference = sum(octets) % 256
    bodies = []
    for number, part in enumerate(parts, 1):
        header = bytes([5, 0, 3, reference, len(parts), number]) if len(parts) > 1 else b""
        head = b"\0\x01\x01" + phone.encode() + b"\0\x03\0" + b"4711\0" + bytes([_HAS_HEADER if header else 0])
        message = header + part
        bodies.append(head + b"\0\0\0\0\0\0" + bytes([coding, 0, len(message)]) + message)
    return bodies


def encoded(text: str) -> bytes:
    """The octets of a text in GSM-7's basic alphabet, one for each character."""
    return bytes(_ALPHABET.index(character) for character in text)


def decoded(message: bytes, coding: int) -> str:
    """The text of all octets of a message."""
    if coding == _UCS2:
        return message.decode("utf-16-be")
    text, escaped = "", False
    for byte in message:
        if escaped:
            text, escaped = text + _EXTENSION[byte], False
        elif byte == 0x1B:
            escaped = True
        else:
            text += _ALPHABET[byte]
    return text
