"""An SSH server for dialogues that sshd does not have.

asyncssh_server.py HOST_KEY rounds | change | PROMPT; each connection for the rounds is a line in HOST_KEY.connections
  rounds  keyboard-interactive: a password, a round without questions, two questions, one of them with echo
  change  password: the old one has expired
  PROMPT  keyboard-interactive: this question, to which the password is the answer
"""

import asyncio
import sys
import warnings

warnings.filterwarnings("ignore")
import asyncssh  # noqa: E402

OLD, NEW = "the old password", "the new password"


class Rounds(asyncssh.SSHServer):
    """Keyboard-interactive in three rounds."""

    def connection_made(self, conn):
        with open(sys.argv[1] + ".connections", "a", encoding="ascii") as file:
            file.write("one more\n")

    def begin_auth(self, username):
        return True

    def kbdint_auth_supported(self):
        return True

    def get_kbdint_challenge(self, username, lang, submethods):
        self.round = 1
        return "Welcome", "", "en", [("Password: ", False)]

    def validate_kbdint_response(self, username, responses):
        self.round += 1
        if self.round == 2:
            return ("", "Nothing to ask here.", "", []) if responses == [OLD] else False
        if self.round == 3:
            return ("", "", "", [("Colour? ", True), ("Verification code: ", False)]) if responses == [] else False
        return responses == ["blue", "123456"]


class Prompt(Rounds):
    """Keyboard-interactive with one question."""

    def get_kbdint_challenge(self, username, lang, submethods):
        return "", "", "", [(sys.argv[2], False)]

    def validate_kbdint_response(self, username, responses):
        return responses == [OLD]


class Change(asyncssh.SSHServer):
    """A password that has to be changed."""

    def begin_auth(self, username):
        return True

    def password_auth_supported(self):
        return True

    def kbdint_auth_supported(self):
        return False  # asyncssh would ask for the password by it

    def validate_password(self, username, password):
        if password == OLD:
            raise asyncssh.PasswordChangeRequired("Your password has expired.")
        return password == NEW

    def change_password(self, username, old_password, new_password):
        return old_password == OLD and new_password == NEW


async def main():
    """Says on which port it listens, and serves until its standard input ends."""
    host_key, kind = sys.argv[1:]
    factory = {"rounds": Rounds, "change": Change}.get(kind, Prompt)
    listener = await asyncssh.listen("127.0.0.1", 0, server_factory=factory, server_host_keys=[host_key])
    print(listener.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())
