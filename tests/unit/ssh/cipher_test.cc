// Every cipher with every kind of MAC that sshd offers carries bytes both ways unchanged: the patch
// to libssh2's transport covers them all.
#include "tests/unit/ssh/session_fixture.h"

namespace tunproxy::testing {
namespace {

constexpr uint64_t kBytes = 3 * 1024 * 1024 + 12345;

struct Suite {
  const char* cipher;
  const char* mac;  // ignored by ciphers that authenticate on their own
};

std::string name_of(const ::testing::TestParamInfo<Suite>& info) {
  std::string name = std::string(info.param.cipher) + "_" + info.param.mac;
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

class CipherTest : public SessionTest, public ::testing::WithParamInterface<Suite> {};

TEST_P(CipherTest, CarriesBytesBothWaysUnchanged) {
  const std::string cipher = GetParam().cipher;
  ssh::SessionOptions options;
  options.algorithms.ciphers = cipher;
  connect_session("Ciphers " + cipher + "\nMACs " + GetParam().mac, options);
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{1, kBytes, 2, kBytes}; });

  auto stream = open(target.target());
  ASSERT_TRUE(stream) << stream.error().message;
  Flow client(std::move(*stream), {2, kBytes, 1, kBytes});

  ASSERT_TRUE(run_until([&] { return client.done() && target.flows()[0]->done(); }));
  EXPECT_TRUE(client.intact());
  EXPECT_TRUE(target.flows()[0]->intact());
}

// Packets of every length around the block sizes.
TEST_P(CipherTest, CarriesSmallPacketsOfEveryLength) {
  ssh::SessionOptions options;
  options.algorithms.ciphers = GetParam().cipher;
  connect_session("Ciphers " + options.algorithms.ciphers + "\nMACs " + GetParam().mac, options);
  std::unique_ptr<io::TcpStream> accepted;
  auto listener = io::TcpListener::listen(
      loop_, Endpoint{IpAddress::parse("127.0.0.1").value(), 0},
      [&](std::unique_ptr<io::TcpStream> stream) { accepted = std::move(stream); });
  ASSERT_TRUE(listener);
  auto stream = open(Target((*listener)->local()));
  ASSERT_TRUE(stream && run_until([&] { return accepted != nullptr; }));

  Pattern out(3);
  for (size_t length = 1; length <= 100; ++length) {
    ByteVector sent(length);
    out.fill(sent);
    ASSERT_EQ((*stream)->write(sent), length);
    accepted->on_progress([] {});
    (*stream)->on_progress([] {});
    ASSERT_TRUE(run_until([&] { return accepted->peek().size() == length; })) << length;
    ASSERT_EQ(accepted->write(accepted->peek()), length);
    accepted->consume(length);
    ASSERT_TRUE(run_until([&] { return (*stream)->peek().size() == length; })) << length;
    EXPECT_TRUE(std::equal(sent.begin(), sent.end(), (*stream)->peek().begin())) << length;
    (*stream)->consume(length);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, CipherTest,
    ::testing::Values(
        Suite{"aes256-gcm@openssh.com", "hmac-sha2-256"},
        Suite{"aes128-gcm@openssh.com", "hmac-sha2-256"},
        Suite{"chacha20-poly1305@openssh.com", "hmac-sha2-256"},
        Suite{"aes128-ctr", "hmac-sha2-256"}, Suite{"aes128-ctr", "hmac-sha2-256-etm@openssh.com"},
        Suite{"aes192-ctr", "hmac-sha2-512"}, Suite{"aes192-ctr", "hmac-sha2-512-etm@openssh.com"},
        Suite{"aes256-ctr", "hmac-sha1"}, Suite{"aes256-ctr", "hmac-sha1-etm@openssh.com"},
        Suite{"aes128-cbc", "hmac-sha2-256"}, Suite{"aes128-cbc", "hmac-sha2-256-etm@openssh.com"},
        Suite{"aes192-cbc", "hmac-sha2-512-etm@openssh.com"}, Suite{"aes256-cbc", "hmac-sha2-512"},
        Suite{"aes256-cbc", "hmac-sha2-512-etm@openssh.com"}, Suite{"3des-cbc", "hmac-sha2-256"},
        Suite{"3des-cbc", "hmac-sha2-256-etm@openssh.com"}),
    name_of);

}  // namespace
}  // namespace tunproxy::testing
