# The device as a child process, on a flash image of its own.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

from . import Failed

IMAGE = "device.img"
_STOP_S = 8  # a De-register waits 5 s for its answer


class Device:
    """Provisioned and started by the command that people use.

    folder: for the flash image. heard: called with each line of its log.
    log: all lines so far, of all starts.
    """

    def __init__(self, folder, heard):
        self.folder, self.heard = folder, heard
        self.log = []
        self.process = None
        self._seen = 0
        self._news = asyncio.Event()
        self._pipe = None
        tools = str(Path(__file__).resolve().parents[2])
        self._env = dict(os.environ, PYTHONUNBUFFERED="1")
        self._env["PYTHONPATH"] = os.pathsep.join(filter(None, [tools, os.environ.get("PYTHONPATH")]))

    async def _run(self, verb, *words, **streams):
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "microlwm2m", verb, "file:" + IMAGE, *words,
            cwd=self.folder, env=self._env, **streams,
        )  # fmt: skip

    async def provision(self, *options, secret):
        """Run `microlwm2m provision` with the secret on its standard input; its output's lines."""
        pipe = asyncio.subprocess.PIPE
        process = await self._run("provision", *options, stdin=pipe, stdout=pipe, stderr=pipe)
        try:
            out, err = await process.communicate(secret.hex().encode() + b"\n")
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode:
            raise Failed(err.decode().strip() or "provision ends with %d" % process.returncode)
        return out.decode().splitlines()

    async def start(self):
        """Switch it on."""
        self._seen = len(self.log)
        self._pipe, end = os.pipe()
        try:
            self.process = await self._run("device", stdin=asyncio.subprocess.DEVNULL, stdout=end, stderr=end)
        finally:
            os.close(end)
        # Not by a StreamReader, which would hand a line on later than what the device sent after it.
        asyncio.get_running_loop().add_reader(self._pipe, self._readable, [b""])

    def _readable(self, rest):
        data = os.read(self._pipe, 65536)
        *lines, rest[0] = (rest[0] + data).split(b"\n")
        for line in lines:
            # Without the device's own time, which begins anew with each start.
            line = re.sub(r"^ *[0-9.]* ", "", line.decode(errors="replace").rstrip())
            self.log.append(line)
            self.heard(line)
        if not data:
            self._close()
        self._news.set()

    def _close(self):
        asyncio.get_running_loop().remove_reader(self._pipe)
        os.close(self._pipe)
        self._pipe = None

    async def says(self, text, timeout):
        """What follows `text` in the next line, of those not looked at yet, that has it."""
        try:
            return await asyncio.wait_for(self._says(text), timeout)
        except asyncio.TimeoutError:
            raise Failed('no "%s" from the device within %g s' % (text, timeout)) from None

    async def _says(self, text):
        while True:
            for line in self.log[self._seen :]:
                self._seen += 1
                _, found, rest = line.partition(text)
                if found:
                    return rest
            if self._pipe is None:
                raise Failed("the device has ended with %s" % await self.process.wait())
            self._news.clear()
            await self._news.wait()

    async def kill(self):
        """SIGKILL, as a power cut: nothing is said to anybody."""
        await self._end(signal.SIGKILL)

    async def stop(self):
        """Ctrl-C: it de-registers. The exit status, None when it did not run."""
        return await self._end(signal.SIGINT)

    async def _end(self, how):
        process, self.process = self.process, None
        if process is None:
            return None
        try:
            if process.returncode is None:
                process.send_signal(how)
            status = await asyncio.wait_for(process.wait(), _STOP_S)
        except asyncio.TimeoutError:
            raise Failed("the device did not end within %d s" % _STOP_S) from None
        finally:
            if process.returncode is None:
                process.kill()
        while self._pipe is not None:
            self._news.clear()
            await self._news.wait()
        return status
