// Certificates of users and of hosts, against a real sshd.
#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>

#include "core/ssh/certificate.h"
#include "core/ssh/fingerprint.h"
#include "core/ssh/known_hosts.h"
#include "tests/support/memory_stream.h"
#include "tests/unit/ssh_login/login_fixture.h"

namespace tunproxy::ssh {
namespace {

using ::testing::HasSubstr;
using testing::LoginTest;
using testing::make_key;
using ::testing::Not;
using testing::read_file;
using testing::RealAgent;
using testing::run;
using testing::this_user;
using testing::write_file;

struct TypeCase {
  const char* name;
  std::vector<std::string> key;
  std::vector<std::string> authority;
};

const auto kTypes = ::testing::Values(
    TypeCase{"ed25519", {"-t", "ed25519"}, {"-t", "ed25519"}},
    TypeCase{"ecdsa256", {"-t", "ecdsa", "-b", "256"}, {"-t", "rsa", "-b", "2048"}},
    TypeCase{"ecdsa384", {"-t", "ecdsa", "-b", "384"}, {"-t", "ecdsa", "-b", "521"}},
    TypeCase{"ecdsa521", {"-t", "ecdsa", "-b", "521"}, {"-t", "ecdsa", "-b", "256"}},
    TypeCase{"rsa", {"-t", "rsa", "-b", "2048"}, {"-t", "ecdsa", "-b", "384"}});
const auto type_name = [](const auto& instance) { return instance.param.name; };

class UserCertificateTest : public LoginTest, public ::testing::WithParamInterface<TypeCase> {
 protected:
  UserCertificateTest() {
    make_key(authority_, GetParam().authority);
    serve("TrustedUserCAKeys " + authority_ + ".pub");
    make_key(key_, GetParam().key);
    authorize("");
  }

  std::string authority_ = scratch_.path("authority");
  std::string key_ = scratch_.path("key");
};

TEST_P(UserCertificateTest, IsFoundBesideTheKeyAndByName) {
  auto with_key = options();
  with_key.identity_files = {key_};
  EXPECT_NE(log_in(with_key), "") << "without a certificate";
  const std::string certificate = certify(authority_, key_, {"-n", this_user()});
  EXPECT_EQ(log_in(with_key), "") << server_->log();

  std::filesystem::rename(certificate, scratch_.path("elsewhere"));
  EXPECT_NE(log_in(with_key), "");
  with_key.certificate_files = {scratch_.path("elsewhere")};
  EXPECT_EQ(log_in(with_key), "") << server_->log();
}

TEST_P(UserCertificateTest, TheAgentHasItOrOnlyItsKey) {
  RealAgent agent(scratch_);
  certify(authority_, key_, {"-n", this_user()});
  agent.add(key_);
  EXPECT_EQ(log_in(options()), "") << server_->log();

  ASSERT_EQ(run({"ssh-add", "-q", "-D"}).status, 0);
  std::filesystem::rename(key_ + "-cert.pub", scratch_.path("elsewhere"));
  agent.add(key_);
  EXPECT_NE(log_in(options()), "") << "the key alone is not authorized";
  auto named = options();
  named.certificate_files = {scratch_.path("elsewhere")};
  EXPECT_EQ(log_in(named), "") << server_->log();
}

INSTANTIATE_TEST_SUITE_P(All, UserCertificateTest, kTypes, type_name);

class UserCertificateTroubleTest : public LoginTest {
 protected:
  UserCertificateTroubleTest() { make_key(authority_, {"-t", "ed25519"}); }

  UserLoginOptions with_key() {
    auto named = options();
    named.identity_files = {key_};
    return named;
  }

  std::string authority_ = scratch_.path("authority");
  std::string key_ = scratch_.path("key");
};

TEST_F(UserCertificateTroubleTest, OneThatHasExpiredIsSaidToBe) {
  serve("TrustedUserCAKeys " + authority_ + ".pub");
  authorize("");
  make_key(key_, {"-t", "ed25519"});
  certify(authority_, key_, {"-n", this_user(), "-V", "20200101:20200102"});
  EXPECT_THAT(log_in(with_key()),
              HasSubstr("certificate of " + key_ + " (expired since 2020-01-0"));
  EXPECT_EQ(code_, ErrorCode::authentication_failed);
}

TEST_F(UserCertificateTroubleTest, OneThatIsRevokedIsRefusedAndTheKeyIsTriedAfterIt) {
  make_key(key_, {"-t", "ed25519"});
  const std::string certificate = certify(authority_, key_, {"-n", this_user()});
  const std::string revoked = scratch_.path("revoked");
  ASSERT_EQ(run({"ssh-keygen", "-q", "-k", "-f", revoked, certificate}).status, 0);
  serve("TrustedUserCAKeys " + authority_ + ".pub\nRevokedKeys " + revoked);
  authorize("");
  EXPECT_THAT(log_in(with_key()), HasSubstr("tried: certificate of " + key_ + ", " + key_ + ";"));
}

TEST_F(UserCertificateTroubleTest, OneWithoutItsKeyIsSaidSo) {
  serve();
  authorize("");
  make_key(key_, {"-t", "ed25519"});
  make_key(scratch_.path("other"), {"-t", "ed25519"});
  auto other = options();
  other.identity_files = {scratch_.path("other")};
  other.certificate_files = {certify(authority_, key_, {"-n", this_user()})};
  EXPECT_THAT(log_in(other), HasSubstr(key_ + "-cert.pub (no private key for it)"));
}

TEST_F(UserCertificateTroubleTest, WhatIsNoCertificateIsSkipped) {
  serve();
  authorize(make_key(key_, {"-t", "ed25519"}));
  write_file(key_ + "-cert.pub", "ssh-ed25519 AAAA\n");
  auto named = with_key();
  named.certificate_files = {key_ + ".pub", scratch_.path("missing")};
  EXPECT_EQ(log_in(named), "") << server_->log();
}

class HostCertificateTest : public LoginTest {
 protected:
  void certify_host(const std::vector<std::string>& key, const std::vector<std::string>& authority,
                    const std::vector<std::string>& claims) {
    authority_text_ = make_key(authority_, authority);
    host_text_ = make_key(scratch_.path("own_host_key"), key);
    const std::string certificate = certify(authority_, scratch_.path("own_host_key"), claims);
    serve("HostKey " + scratch_.path("own_host_key") + "\nHostCertificate " + certificate +
          "\nRekeyLimit 32K");
    authorize(make_key(scratch_.path("user_key"), {"-t", "ed25519"}));
  }
  void certify_host(const std::vector<std::string>& claims) {
    certify_host({"-t", "ed25519"}, {"-t", "ed25519"}, claims);
  }
  UserLoginOptions strict() {
    auto options = LoginTest::options();
    options.identity_files = {scratch_.path("user_key")};
    options.known_hosts_files = {known_hosts_};
    options.host_key_policy = HostKeyPolicy::strict;
    return options;
  }
  void know(const std::string& text) { write_file(known_hosts_, text); }

  std::string authority_ = scratch_.path("authority");
  std::string authority_text_;
  std::string host_text_;
  std::string known_hosts_ = scratch_.path("known_hosts");
};

class HostCertificateTypeTest : public HostCertificateTest,
                                public ::testing::WithParamInterface<TypeCase> {};

/// Through several key exchanges, each of which the certified key signs anew.
TEST_P(HostCertificateTypeTest, IsTrustedThroughItsAuthority) {
  certify_host(GetParam().key, GetParam().authority, {"-h", "-n", "server.example"});
  know("@cert-authority *.example " + authority_text_);
  std::optional<Result<ExecResult>> ran;
  use_ = [&](io::Loop& loop, Session& session) {
    for (int i = 0; i < 4; ++i) {
      ran.reset();
      auto attempt = session.exec("head -c 60000 /dev/zero",
                                  [&](Result<ExecResult> result) { ran = std::move(result); });
      ASSERT_TRUE(testing::run_until(loop, [&] { return ran.has_value(); }));
    }
  };
  EXPECT_EQ(log_in(strict()), "") << server_->log();
  ASSERT_TRUE(ran && *ran);
  EXPECT_EQ((*ran)->output.size(), 60000U);
  EXPECT_THAT(server_->log(), HasSubstr("rekey"));
  EXPECT_TRUE(user_.questions.empty());
}

INSTANTIATE_TEST_SUITE_P(All, HostCertificateTypeTest, kTypes, type_name);

TEST_F(HostCertificateTest, ForAnotherNameItIsRefused) {
  certify_host({"-h", "-n", "other.example,third.example"});
  know("@cert-authority * " + authority_text_);
  EXPECT_THAT(log_in(strict()),
              HasSubstr("its certificate does not hold: it is for other.example, third.example"));
  EXPECT_EQ(code_, ErrorCode::host_key_refused);
  auto alias = strict();
  alias.host_key_alias = "Other.example";
  EXPECT_EQ(log_in(alias), "") << server_->log();
}

TEST_F(HostCertificateTest, ThatHasExpiredIsRefused) {
  certify_host({"-h", "-n", "server.example", "-V", "20200101:20200102"});
  know("@cert-authority * " + authority_text_);
  EXPECT_THAT(log_in(strict()), HasSubstr("it is expired since 2020-01-0"));
  auto accept = strict();
  accept.host_key_policy = HostKeyPolicy::accept_new;
  EXPECT_THAT(log_in(accept), HasSubstr("it is expired since"));
  know("@cert-authority * " + authority_text_ + "server.example " + host_text_);
  EXPECT_EQ(log_in(strict()), "") << "the key itself is known";
}

TEST_F(HostCertificateTest, ByAnotherAuthorityIsRefused) {
  certify_host({"-h", "-n", "server.example"});
  know("@cert-authority * " + make_key(scratch_.path("stranger"), {"-t", "ed25519"}));
  const std::string text = log_in(strict());
  EXPECT_THAT(text, HasSubstr("which is no authority for it"));
  EXPECT_THAT(text, HasSubstr("SHA256:"));
  know("@cert-authority elsewhere " + authority_text_);
  EXPECT_THAT(log_in(strict()), HasSubstr("is not known"));
}

TEST_F(HostCertificateTest, ByARevokedAuthorityOrForARevokedKeyIsRefused) {
  certify_host({"-h", "-n", "server.example"});
  know("@cert-authority * " + authority_text_ + "@revoked * " + authority_text_);
  EXPECT_THAT(log_in(strict()), HasSubstr("revoked at " + known_hosts_ + ":2"));
  know("@cert-authority * " + authority_text_ + "@revoked * " + host_text_);
  EXPECT_THAT(log_in(strict()), HasSubstr("revoked at " + known_hosts_ + ":2"));
}

class CertificateTest : public LoginTest {
 protected:
  Certificate make(const std::vector<std::string>& arguments) {
    make_key(scratch_.path("ca"), {"-t", "ed25519"});
    make_key(scratch_.path("key"), {"-t", "ecdsa"});
    const auto blob =
        read_certificate(certify(scratch_.path("ca"), scratch_.path("key"), arguments));
    EXPECT_TRUE(blob);
    blob_ = *blob;
    return *parse_certificate(blob_);
  }
  std::string problem(const Certificate& certificate, std::string_view name, uint64_t now) {
    const auto checked = check_host_certificate(certificate, name, now);
    return checked ? "" : checked.error().message;
  }

  ByteVector blob_;
};

TEST_F(CertificateTest, SaysWhatSshKeygenWrote) {
  const Certificate made =
      make({"-h", "-n", "one,two", "-z", "77", "-V", "19700102000000Z:19700103000000Z"});
  EXPECT_EQ(made.type, "ecdsa-sha2-nistp256-cert-v01@openssh.com");
  EXPECT_EQ(fingerprint(made.key),
            fingerprint(parse_public_key(read_file(scratch_.path("key.pub")))));
  EXPECT_EQ(made.serial, 77U);
  EXPECT_EQ(made.id, "test");
  EXPECT_EQ(made.kind, Certificate::Kind::host);
  EXPECT_EQ(made.principals, (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(made.authority, parse_public_key(read_file(scratch_.path("ca.pub"))));
  EXPECT_EQ(problem(made, "two", made.valid_after), "");
  EXPECT_EQ(problem(made, "two", made.valid_before - 1), "");
  EXPECT_THAT(problem(made, "two", made.valid_after - 1), HasSubstr("valid only from"));
  EXPECT_THAT(problem(made, "two", made.valid_before), HasSubstr("expired since"));
  EXPECT_THAT(problem(made, "on", made.valid_after), HasSubstr("it is for one, two"));
}

TEST_F(CertificateTest, OfAUserVouchesForNoHost) {
  EXPECT_THAT(problem(make({"-n", "server.example"}), "server.example", 1), HasSubstr("a user's"));
}

TEST_F(CertificateTest, WithConditionsThatAreNotKnownIsRefused) {
  EXPECT_THAT(problem(make({"-h", "-n", "a", "-O", "critical:new@example=1"}), "a", 1),
              HasSubstr("new@example"));
}

/// Each byte that is signed counts, and none that is cut off is missed.
TEST_F(CertificateTest, BentOrCutDoesNotHold) {
  const Certificate made = make({"-h", "-n", "a"});
  ASSERT_EQ(problem(made, "a", 1), "");
  for (size_t i = 0; i < blob_.size(); ++i) {
    ByteVector bent = blob_;
    bent[i] ^= 1;
    const auto parsed = parse_certificate(bent);
    EXPECT_TRUE(!parsed || parsed->authority != made.authority || problem(*parsed, "a", 1) != "")
        << i;
    EXPECT_FALSE(parse_certificate(Bytes(blob_).first(i))) << i;
  }
}

}  // namespace
}  // namespace tunproxy::ssh
