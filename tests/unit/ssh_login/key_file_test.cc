#include "core/ssh/key_file.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include "core/ssh/auth_credentials.h"
#include "core/ssh/fingerprint.h"
#include "tests/unit/ssh_login/shell.h"

namespace tunproxy::ssh {
namespace {

using ::testing::HasSubstr;
using testing::make_key;
using testing::run;
using testing::ScratchDirectory;
using testing::write_file;

class KeyFileTest : public ::testing::Test {
 protected:
  std::string error_of(const std::string& path) {
    const auto key = KeyFile::read(path);
    if (key) return "readable";
    EXPECT_EQ(key.error().code, ErrorCode::usage);
    return key.error().message;
  }

  ScratchDirectory scratch_;
  std::string path_ = scratch_.path("key");
};

TEST_F(KeyFileTest, OpensshFormatShowsItsPublicKeyWithoutThePassphrase) {
  const std::string text = make_key(path_, {"-t", "ed25519"}, "secret");
  ::unlink((path_ + ".pub").c_str());
  const auto key = KeyFile::read(path_);
  ASSERT_TRUE(key);
  EXPECT_TRUE(key->encrypted);
  EXPECT_EQ(key->public_blob, parse_public_key(text));
}

TEST_F(KeyFileTest, PemFormatTakesThePublicKeyFromBesideIt) {
  const std::string text = make_key(path_, {"-t", "rsa", "-b", "2048", "-m", "PEM"});
  const auto key = KeyFile::read(path_);
  ASSERT_TRUE(key);
  EXPECT_FALSE(key->encrypted);
  EXPECT_EQ(key->format, KeyFile::Format::pem);
  EXPECT_EQ(key->public_blob, parse_public_key(text));
}

TEST_F(KeyFileTest, EncryptionOfPemIsSeenAndPassphrasesAreTold) {
  for (const char* format : {"PEM", "PKCS8"}) {
    ::unlink(path_.c_str());
    make_key(path_, {"-t", "ecdsa", "-m", format}, "secret");
    const auto key = KeyFile::read(path_);
    ASSERT_TRUE(key) << format;
    EXPECT_TRUE(key->encrypted) << format;
    EXPECT_TRUE(key->may_open_with(Secret("secret"))) << format;
    EXPECT_FALSE(key->may_open_with(Secret("wrong"))) << format;
    EXPECT_FALSE(key->may_open_with(Secret(""))) << format;
  }
}

TEST_F(KeyFileTest, OpenPermissionsAreRefused) {
  make_key(path_, {"-t", "ed25519"});
  ASSERT_EQ(run({"chmod", "0644", path_}).status, 0);
  EXPECT_THAT(error_of(path_), HasSubstr("permissions 0644"));
  EXPECT_THAT(error_of(path_), HasSubstr("chmod 600"));
}

TEST_F(KeyFileTest, EncryptionThatLibssh2CannotReadIsRefused) {
  make_key(path_, {"-t", "ed25519", "-Z", "chacha20-poly1305@openssh.com"}, "secret");
  EXPECT_THAT(error_of(path_), HasSubstr("ssh-keygen -p"));
}

TEST_F(KeyFileTest, WhatIsNoKeyIsSaidSo) {
  EXPECT_THAT(error_of(path_), HasSubstr("No such file"));
  EXPECT_THAT(error_of("/tmp"), HasSubstr("not a file"));
  write_file(path_, "hello\n");
  EXPECT_THAT(error_of(path_), HasSubstr("not a private key"));
  write_file(path_, "");
  EXPECT_THAT(error_of(path_), HasSubstr("not a private key"));
  write_file(path_,
             "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n");
  EXPECT_THAT(error_of(path_), HasSubstr("not a private key"));
  write_file(path_, "PuTTY-User-Key-File-3: ssh-ed25519\n");
  EXPECT_THAT(error_of(path_), HasSubstr("puttygen"));
}

TEST_F(KeyFileTest, APublicKeyNamesAKeyOfTheAgent) {
  const std::string text = make_key(path_, {"-t", "ed25519"});
  const auto key = KeyFile::read(path_ + ".pub");
  ASSERT_TRUE(key);
  EXPECT_EQ(key->format, KeyFile::Format::public_only);
  EXPECT_EQ(key->public_blob, parse_public_key(text));
}

TEST(Secrets, AreWipedFromWhereTheyCome) {
  std::string text = "a password longer than any short string buffer";
  const char* storage = text.data();
  const size_t size = text.size();
  const Secret secret = Secret::take(text);
  EXPECT_EQ(secret.size(), size);
  for (size_t i = 1; i < size; ++i) ASSERT_EQ(storage[i], 0);
}

TEST(CredentialsTest, RememberAndForget) {
  Credentials credentials;
  EXPECT_FALSE(credentials.find("a"));
  credentials.remember("a", Secret("one"));
  credentials.remember("a", Secret("two"));
  EXPECT_EQ(credentials.find("a")->text(), "two");
  credentials.forget("a");
  EXPECT_FALSE(credentials.find("a"));
}

}  // namespace
}  // namespace tunproxy::ssh
