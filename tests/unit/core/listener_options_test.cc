#include "core/listener_options.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace tunproxy {
namespace {

namespace fs = std::filesystem;

const Endpoint kLocal = *Endpoint::parse("127.0.0.1:1080");
const Endpoint kOpen = *Endpoint::parse("0.0.0.0:1080");

class ListenerOptionsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "tunproxy-listener-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    file_ = directory_ / "password";
    std::ofstream(file_) << "secret\n";
    ASSERT_EQ(::chmod(file_.c_str(), 0600), 0);
  }
  void TearDown() override { fs::remove_all(directory_); }

  fs::path directory_;
  std::string file_;
};

TEST_F(ListenerOptionsTest, TakesUsersAndLimits) {
  ListenerSettings settings;
  settings.users = {{"anna", file_}, {"bob", file_}};
  settings.connections = 7;
  settings.connections_per_client = 3;
  const auto options = listener_options(settings, kOpen);
  ASSERT_TRUE(options) << options.error().message;
  ASSERT_EQ(options->users.size(), 2u);
  EXPECT_EQ(options->users[1].name, "bob");
  EXPECT_EQ(options->users[0].password, "secret");
  EXPECT_EQ(options->max_connections, 7u);
  EXPECT_EQ(options->max_per_client, 3u);
}

TEST_F(ListenerOptionsTest, AFileThatIsOfNoUseIsAnError) {
  ListenerSettings settings;
  settings.users = {{"anna", file_}, {"bob", directory_ / "missing"}};
  const auto options = listener_options(settings, kLocal);
  ASSERT_FALSE(options);
  EXPECT_EQ(options.error().code, ErrorCode::usage);
}

TEST_F(ListenerOptionsTest, NobodyIsServedUnaskedFromElsewhere) {
  ListenerSettings settings;
  EXPECT_TRUE(listener_options(settings, kLocal));
  EXPECT_FALSE(listener_options(settings, kOpen));
  settings.open = true;
  EXPECT_TRUE(listener_options(settings, kOpen));
}

// But then somebody has to look at it.
TEST_F(ListenerOptionsTest, ACertificateIsAsGoodAsAPassword) {
  ListenerSettings settings;
  settings.tls.certificate = "c";
  EXPECT_FALSE(listener_options(settings, kOpen));
  settings.tls.client_ca = "ca";
  EXPECT_TRUE(listener_options(settings, kOpen));
  settings.tls.certificate = "";
  EXPECT_FALSE(listener_options(settings, kOpen));
}

}  // namespace
}  // namespace tunproxy
