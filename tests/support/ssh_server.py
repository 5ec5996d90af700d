"""An SSH server in Python, for tests on a machine without OpenSSH: `python ssh_server.py PORT HOST_KEY CLIENT_KEYS`.

It offers SFTP alone, to clients that have one of the keys. Without a shell it shows that a remote needs only SFTP.
"""

import asyncio
import sys

import asyncssh

HOST = "127.0.0.1"


async def serve(port: int, host_key: str, client_keys: str) -> None:
    """Serve the files of this machine until the process ends.

    Args:
        port: Where to listen, on loopback.
        host_key: The file of the server's private key.
        client_keys: The file of the public keys that may log in, as OpenSSH's `authorized_keys`.
    """
    server = await asyncssh.listen(
        HOST, port, server_host_keys=[host_key], authorized_client_keys=client_keys, sftp_factory=True
    )
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
