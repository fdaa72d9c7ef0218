# Block-wise transfer of the messages inside OSCORE, both roles of the bench server.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# RFC 7959, as RFC 8613 section 4.1.3.4.1 has it: inner blocks.

import collections
import hashlib

from aiocoap import Message
from aiocoap.numbers import codes
from aiocoap.numbers.optionnumbers import OptionNumber

MAX_BODY = 1 << 20  # bytes of a body put together, in either direction
MAX_ASSEMBLIES = 64  # requests that arrive in blocks at the same time; then the oldest goes


class BlockError(Exception):
    """The other side broke the rules of a block-wise transfer."""


def _size(szx):
    return 16 << min(szx, 6)


class Assembler:
    """Puts together the requests that arrive in blocks (Block1)."""

    def __init__(self, max_body=MAX_BODY):
        self.max_body = max_body
        self.bodies = collections.OrderedDict()

    def feed(self, request, who):
        """(request, None) with the whole body, or (None, response) to be sent at once.

        who: tells one requester from another; blocks of two are never combined.
        """
        block = request.opt.block1
        if block is None:
            return request, None
        ignored = (OptionNumber.BLOCK1, OptionNumber.BLOCK2, OptionNumber.SIZE1)
        key = who, request.get_cache_key(ignored)
        size = _size(block.size_exponent)
        if block.more and len(request.payload) != size:
            return None, Message(code=codes.BAD_REQUEST)
        if block.block_number == 0:
            self.bodies.pop(key, None)
            if len(self.bodies) >= MAX_ASSEMBLIES:
                self.bodies.popitem(last=False)
            self.bodies[key] = b""
        body = self.bodies.get(key)
        if body is None or len(body) != block.block_number * size:
            self.bodies.pop(key, None)
            return None, Message(code=codes.REQUEST_ENTITY_INCOMPLETE)
        announced = request.opt.size1 or 0
        if max(announced, len(body) + len(request.payload)) > self.max_body:
            self.bodies.pop(key, None)
            return None, Message(code=codes.REQUEST_ENTITY_TOO_LARGE, size1=self.max_body)
        body += request.payload
        if block.more:
            self.bodies[key] = body
            return None, Message(code=codes.CONTINUE, block1=block)
        del self.bodies[key]
        return request.copy(payload=body), None


def first_block(response, request, szx):
    """The block of a response that the request asks for; the response itself when it is
    short. szx: the size exponent when the request names none."""
    asked = request.opt.block2
    exponent = min(asked.size_exponent, szx) if asked else szx
    size = _size(exponent)
    start = asked.block_number * _size(asked.size_exponent) if asked else 0
    if start == 0 and len(response.payload) <= size:
        return response
    if start >= len(response.payload):
        return Message(code=codes.BAD_REQUEST)
    part = response.payload[start : start + size]
    block = response.copy(payload=part)
    block.opt.block2 = (start // size, start + size < len(response.payload), exponent)
    block.opt.etag = hashlib.sha256(response.payload).digest()[:8]
    if start == 0:
        block.opt.size2 = len(response.payload)
    return block


async def upload(message, ask, szx):
    """Send a request, its body in blocks when that is longer than one, and return the
    answer to the last (its further blocks are `download`'s).

    ask(message) -> response, a coroutine function: one exchange.
    """
    body = message.payload
    if len(body) <= _size(szx):
        return await ask(message)
    position = 0
    while True:
        size = _size(szx)
        part = message.copy(payload=body[position : position + size])
        more = position + size < len(body)
        part.opt.block1 = (position // size, more, szx)
        if position == 0:
            part.opt.size1 = len(body)
        response = await ask(part)
        taken = response.opt.block1
        smaller = taken is not None and taken.size_exponent < szx
        if response.code == codes.REQUEST_ENTITY_TOO_LARGE and smaller and position == 0:
            szx = taken.size_exponent
            continue
        if response.code != codes.CONTINUE:
            return response
        if not more:
            raise BlockError("2.31 to the last block")
        # A missing Block1 is Californium's way; going on is what the device does too.
        if taken is not None and taken.block_number != position // size:
            raise BlockError("2.31 to another block")
        position += size
        if smaller:
            szx = taken.size_exponent


async def download(message, response, ask):
    """The whole of a response whose first block is `response`: asks for the others."""
    block = response.opt.block2
    if block is None or not block.more:
        return response
    if block.block_number != 0:
        raise BlockError("the first block is not number 0")
    body, etag = response.payload, response.opt.etag
    if len(body) != _size(block.size_exponent):
        raise BlockError("a block of another length than it says")
    while True:
        size = _size(block.size_exponent)
        follow = message.copy(payload=b"", block1=None, size1=None, observe=None)
        follow.opt.block2 = (len(body) // size, False, block.size_exponent)
        part = await ask(follow)
        got = part.opt.block2
        if not part.code.is_successful():
            return part
        if got is None or got.block_number * _size(got.size_exponent) != len(body):
            raise BlockError("not the block that was asked for")
        if part.opt.etag != etag:
            raise BlockError("the representation changed between two blocks")
        if got.more and len(part.payload) != _size(got.size_exponent):
            raise BlockError("a block of another length than it says")
        body += part.payload
        if len(body) > MAX_BODY:
            raise BlockError("longer than %d bytes" % MAX_BODY)
        block = got
        if not got.more:
            return response.copy(payload=body, block2=None)
