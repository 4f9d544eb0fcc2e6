#include "tests/unit/tls/certificates.h"

#include <gtest/gtest.h>

#include <vector>

namespace tunproxy::testing {
namespace {

// What it says is of interest only if it fails.
void run_quietly(std::vector<std::string> command) {
  command.insert(command.begin(), {"sh", "-c", "exec \"$@\" 2>&1", "sh"});
  const CommandResult result = run(command);
  EXPECT_EQ(result.status, 0) << result.output;
}

}  // namespace

Certificates::Certificates() {
  make_authority("ca");
  make("server", "ca", "DNS:server.example,IP:127.0.0.1");
}

void Certificates::make_authority(const std::string& name) {
  run_quietly({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
               "-nodes", "-batch", "-days", "2", "-subj", "/CN=Authority " + name, "-keyout",
               key(name), "-out", pem(name)});
}

void Certificates::make(const std::string& name, const std::string& authority,
                        const std::string& names, Valid valid) {
  write_file(path("ca.cnf"),
             "[ca]\ndefault_ca = this\n[this]\ndatabase = " + path("index") +
                 "\nnew_certs_dir = " + path("") +
                 "\ndefault_md = sha256\nrand_serial = yes\nunique_subject = no\npolicy = "
                 "policy\n[policy]\ncommonName = supplied\n");
  write_file(path("index"), "");
  write_file(path("ext"), "subjectAltName=" + names + "\n");
  const char* const from = valid == Valid::not_yet ? "20980101000000Z" : "20200101000000Z";
  const char* const until = valid == Valid::no_more ? "20210101000000Z" : "20990101000000Z";
  run_quietly({"openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
               "-nodes", "-batch", "-subj", "/CN=" + name, "-keyout", key(name), "-out",
               path("csr")});
  run_quietly({"openssl",    "ca",    "-config",      path("ca.cnf"), "-batch",
               "-notext",    "-cert", pem(authority), "-keyfile",     key(authority),
               "-startdate", from,    "-enddate",     until,          "-extfile",
               path("ext"),  "-in",   path("csr"),    "-out",         pem(name)});
}

}  // namespace tunproxy::testing
