// Keys in hardware (FIDO), which the agent knows, at a real server.
#include "tests/unit/ssh_login/security_key.h"

#include <gmock/gmock.h>

#include "tests/unit/ssh_login/login_fixture.h"

namespace tunproxy::ssh {
namespace {

using ::testing::HasSubstr;
using testing::make_key;
using testing::SecurityKey;
using testing::SecurityKeyAgent;
using testing::write_file;

class SecurityKeyTest : public testing::LoginTest {
 protected:
  static constexpr SecurityKey::Type kTypes[] = {SecurityKey::Type::ed25519,
                                                 SecurityKey::Type::ecdsa};
};

TEST_F(SecurityKeyTest, TheAgentSignsForBothTypes) {
  serve();
  for (const auto type : kTypes) {
    SecurityKey key(type);
    SecurityKeyAgent agent(scratch_, key);
    authorize(key.public_line());
    user_.shown.clear();
    EXPECT_EQ(log_in(options()), "") << server_->log();
    EXPECT_EQ(agent.signatures(), 1);
    EXPECT_FALSE(credentials_->repeatable()) << "each login needs a touch";
    EXPECT_THAT(user_.shown, HasSubstr("Confirm user presence for agent key"));
    ::unlink(scratch_.path("security_key_agent").c_str());
  }
}

/// The server checks what the key signed with its own hands: a touch is in it.
TEST_F(SecurityKeyTest, WithoutATouchTheServerRefuses) {
  serve();
  SecurityKey key(SecurityKey::Type::ed25519);
  SecurityKeyAgent agent(scratch_, key);
  authorize(key.public_line());
  key.touched = false;
  EXPECT_THAT(log_in(options()), HasSubstr("tried: agent key"));
  EXPECT_EQ(code_, ErrorCode::authentication_failed);
  EXPECT_EQ(agent.signatures(), 1);
}

TEST_F(SecurityKeyTest, ACertificateForOneLogsIn) {
  make_key(scratch_.path("authority"), {"-t", "ed25519"});
  serve("TrustedUserCAKeys " + scratch_.path("authority.pub"));
  authorize("");
  for (const auto type : kTypes) {
    SecurityKey key(type);
    SecurityKeyAgent agent(scratch_, key);
    const std::string file = scratch_.path("sk");
    write_file(file + ".pub", key.public_line());
    auto told = options();
    told.certificate_files = {
        certify(scratch_.path("authority"), file, {"-n", testing::this_user()})};
    EXPECT_EQ(log_in(std::move(told)), "") << server_->log();
    ::unlink(scratch_.path("security_key_agent").c_str());
  }
}

/// The file that ssh-keygen keeps is of no use alone; with the agent it says which key to use.
TEST_F(SecurityKeyTest, AFileSaysWhatToDo) {
  serve("MaxAuthTries 2");
  SecurityKey key(SecurityKey::Type::ed25519);
  authorize(key.public_line());
  write_file(scratch_.path("id_ed25519_sk"), key.file());
  auto named = options();
  named.identity_files = {scratch_.path("id_ed25519_sk")};
  EXPECT_THAT(log_in(named), HasSubstr("id_ed25519_sk (a key in hardware: add it to ssh-agent "
                                       "with ssh-add)"));
  SecurityKeyAgent agent(scratch_, key);
  named.identities_only = true;
  EXPECT_EQ(log_in(named), "") << server_->log();
  EXPECT_EQ(agent.signatures(), 1);
}

}  // namespace
}  // namespace tunproxy::ssh
