// Whose certificate is taken, and what is said of others; both ends are ours.
#include <gmock/gmock.h>

#include <filesystem>

#include "tests/unit/tls/tls_fixture.h"

namespace tunproxy::tls {
namespace {

using ::testing::HasSubstr;
using testing::Valid;

class TlsCertificateTest : public testing::TlsTest {};

TEST_F(TlsCertificateTest, AClientWithoutACertificateIsRefusedAndToldWhy) {
  auto mutual = files_->server();
  mutual.client_ca = files_->pem("ca");
  shake_hands(mutual, files_->client());
  EXPECT_THAT(error_of(server_), HasSubstr("the client showed no certificate"));
  EXPECT_EQ(server_->error().code, ErrorCode::authentication_failed);
  EXPECT_THAT(said_to_client(), HasSubstr("the server wants a client certificate"));
}

TEST_F(TlsCertificateTest, AClientWhoseTimeIsNotNowIsRefusedAndToldWhy) {
  auto mutual = files_->server();
  mutual.client_ca = files_->pem("ca");
  auto client = files_->client();
  client.cert = files_->pem("late");
  client.key = files_->key("late");
  files_->make("late", "ca", "DNS:client.example", Valid::no_more);
  shake_hands(mutual, client);
  EXPECT_THAT(error_of(server_),
              HasSubstr("the client's certificate has expired (valid until Jan  1 "));
  EXPECT_THAT(said_to_client(), HasSubstr("the peer says that our certificate has expired"));

  files_->make("late", "ca", "DNS:client.example", Valid::not_yet);
  shake_hands(mutual, client);
  EXPECT_THAT(error_of(server_), HasSubstr("the client's certificate is not valid yet (from Jan"));
  EXPECT_THAT(said_to_client(), HasSubstr("does not accept our certificate"));
}

TEST_F(TlsCertificateTest, AClientWithACertificateByTheRightAuthorityIsTaken) {
  auto mutual = files_->server();
  mutual.client_ca = files_->pem("ca");
  files_->make("client", "ca", "DNS:client.example");
  auto client = files_->client();
  client.cert = files_->pem("client");
  client.key = files_->key("client");
  shake_hands(mutual, client);
  EXPECT_TRUE(*server_ && *client_) << error_of(server_);

  files_->make_authority("stranger");
  files_->make("foreign", "stranger", "DNS:client.example");
  client.cert = files_->pem("foreign");
  client.key = files_->key("foreign");
  shake_hands(mutual, client);
  EXPECT_THAT(error_of(server_),
              HasSubstr("the client's certificate is by an authority that is not trusted here: "
                        "/CN=Authority stranger"));
}

TEST_F(TlsCertificateTest, AServerOfAnotherAuthorityNameOrTimeIsRefused) {
  files_->make_authority("other");
  auto client = files_->client();
  client.ca = files_->pem("other");
  shake_hands(files_->server(), client);
  EXPECT_THAT(error_of(client_), HasSubstr("server.example is by an authority that is not trusted "
                                           "here: /CN=Authority ca"));
  EXPECT_EQ(client_->error().code, ErrorCode::authentication_failed);
  EXPECT_THAT(error_of(server_), HasSubstr("does not trust the authority of our certificate"));

  client = files_->client();
  client.name = "elsewhere.example";
  shake_hands(files_->server(), client);
  EXPECT_THAT(error_of(client_), HasSubstr("is for another name: server.example"));
  files_->make("odd", "ca", "DNS:a\033[2Jb");
  shake_hands({files_->pem("odd"), files_->key("odd"), "", {}}, client);
  EXPECT_THAT(error_of(client_), HasSubstr("is for another name: a?[2Jb"));
  client.name = "127.0.0.2";
  shake_hands(files_->server(), client);
  EXPECT_THAT(error_of(client_), HasSubstr("is for another name"));
  client.name = "127.0.0.1";
  shake_hands(files_->server(), client);
  EXPECT_EQ(error_of(client_), "");

  ServerOptions late{files_->pem("late"), files_->key("late"), "", {}};
  files_->make("late", "ca", "DNS:server.example", Valid::no_more);
  shake_hands(late, files_->client());
  EXPECT_THAT(error_of(client_), HasSubstr("has expired (valid until Jan  1 "));
  files_->make("late", "ca", "DNS:server.example", Valid::not_yet);
  shake_hands(late, files_->client());
  EXPECT_THAT(error_of(client_), HasSubstr("is not valid yet (from Jan  1 "));
}

TEST_F(TlsCertificateTest, FilesThatDoNotFitAreNamed) {
  auto error = [](const auto& context) { return context ? "" : context.error().message; };
  auto options = files_->server();
  options.cert = files_->path("missing");
  EXPECT_THAT(error(ServerContext::create(options)), HasSubstr("missing: No such file"));
  options = files_->server();
  options.key = files_->key("ca");
  EXPECT_THAT(error(ServerContext::create(options)), HasSubstr("not the key of the certificate"));
  options = files_->server();
  options.client_ca = files_->key("ca");
  EXPECT_THAT(error(ServerContext::create(options)), HasSubstr("ca.key"));
  std::filesystem::copy_file(files_->key("server"), files_->path("open.key"),
                             std::filesystem::copy_options::overwrite_existing);
  ASSERT_EQ(testing::run({"chmod", "0644", files_->path("open.key")}).status, 0);
  options = files_->server();
  options.key = files_->path("open.key");
  EXPECT_THAT(error(ServerContext::create(options)), HasSubstr("chmod o="));
  ASSERT_EQ(testing::run({"openssl", "pkey", "-in", files_->key("server"), "-aes256", "-passout",
                          "pass:secret", "-out", files_->path("encrypted.key")})
                .status,
            0);
  options.key = files_->path("encrypted.key");
  EXPECT_THAT(error(ServerContext::create(options)), HasSubstr("it is encrypted"));
  auto nameless = files_->client();
  nameless.name = "";
  EXPECT_THAT(error(ClientContext::create(nameless)), HasSubstr("name is missing"));
}

}  // namespace
}  // namespace tunproxy::tls
