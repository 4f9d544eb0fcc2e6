#include "tests/unit/tls/certificates.h"

#include <gtest/gtest.h>

namespace tunproxy::testing {

Certificates::Certificates() {
  make_authority("ca");
  make("server", "ca", "DNS:server.example,IP:127.0.0.1");
}

void Certificates::make_authority(const std::string& name) {
  EXPECT_EQ(run({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                 "-nodes", "-batch", "-days", "2", "-subj", "/CN=Authority " + name, "-keyout",
                 key(name), "-out", pem(name)})
                .status,
            0);
}

void Certificates::make(const std::string& name, const std::string& authority,
                        const std::string& names, int days) {
  write_file(path(name + ".ext"), "subjectAltName=" + names + "\n");
  EXPECT_EQ(run({"openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                 "-nodes", "-batch", "-subj", "/CN=" + name, "-keyout", key(name), "-out",
                 path(name + ".csr")})
                .status,
            0);
  EXPECT_EQ(run({"openssl", "x509", "-req", "-in", path(name + ".csr"), "-CA", pem(authority),
                 "-CAkey", key(authority), "-CAcreateserial", "-days", std::to_string(days),
                 "-extfile", path(name + ".ext"), "-out", pem(name)})
                .status,
            0);
}

}  // namespace tunproxy::testing
