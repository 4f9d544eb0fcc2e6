"""An SSH server that has no code in common with OpenSSH: asyncssh, with forwarding and commands.

asyncssh_server.py PORT HOST_KEY AUTHORIZED_KEYS [WINDOW MAX_PACKET]
"""

import asyncio
import contextlib
import logging
import subprocess
import sys
import warnings

warnings.simplefilter("ignore")

import asyncssh  # of the distribution's Python


class Server(asyncssh.SSHServer):
    def connection_requested(self, dest_host, dest_port, orig_host, orig_port):
        return True


async def pump(reader, writer):
    with contextlib.suppress(asyncssh.Error, ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()


async def feed(process, child):
    await pump(process.stdin, child.stdin)
    child.stdin.close()


async def run(process):
    """The command, by the shell; its bytes go through as they are. (asyncssh's own redirection ends the connection
    when the command ends before all of its output is sent.)"""
    child = await asyncio.create_subprocess_shell(process.command or "exit 0", stdin=subprocess.PIPE,
                                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    feeding = asyncio.create_task(feed(process, child))
    await asyncio.gather(pump(child.stdout, process.stdout), pump(child.stderr, process.stderr))
    process.exit(await child.wait())
    feeding.cancel()


async def main(port, host_key, authorized_keys, window=2 << 20, max_packet=32768):
    await asyncssh.listen("10.77.1.1", int(port), server_factory=Server, server_host_keys=[host_key],
                          authorized_client_keys=authorized_keys, process_factory=run, encoding=None,
                          window=int(window), max_pktsize=int(max_packet))
    print("ready", flush=True)
    await asyncio.Event().wait()


logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
asyncio.run(main(*sys.argv[1:]))
