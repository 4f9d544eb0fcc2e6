"""Certificates for the scenarios, made by the openssl program."""

import os

from basics import sh

VALID = {"now": ("20200101000000Z", "20990101000000Z"), "no more": ("20200101000000Z", "20210101000000Z"),
         "not yet": ("20980101000000Z", "20990101000000Z")}
NEW_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -batch"


class Authority:
    def __init__(self, directory, name):
        self.directory = os.path.join(directory, name)
        os.mkdir(self.directory)
        self.pem = self.path("ca.pem")
        sh(f"""cd {self.directory}
        openssl req -x509 {NEW_KEY} -days 2 -subj '/CN=Authority {name}' -keyout ca.key -out ca.pem 2>&1
        printf '[ca]\\ndefault_ca = this\\n[this]\\ndatabase = index\\nnew_certs_dir = .\\ndefault_md = sha256\\n' > ca.cnf
        printf 'rand_serial = yes\\nunique_subject = no\\npolicy = any\\n[any]\\ncommonName = supplied\\n' >> ca.cnf""")

    def path(self, name):
        return os.path.join(self.directory, name)

    def make(self, name, names="DNS:somebody.test", valid="now"):
        """NAME.pem and NAME.key; returns both paths."""
        since, until = VALID[valid]
        sh(f"""cd {self.directory}
        echo 'subjectAltName={names}' > ext; : > index
        openssl req -new {NEW_KEY} -subj '/CN={name}' -keyout '{name}.key' -out csr 2>&1
        openssl ca -config ca.cnf -batch -notext -cert ca.pem -keyfile ca.key -startdate {since} -enddate {until} \\
          -extfile ext -in csr -out '{name}.pem' 2>&1""")
        return self.path(name + ".pem"), self.path(name + ".key")
