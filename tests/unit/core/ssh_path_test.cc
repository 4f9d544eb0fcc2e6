// With the real `ssh -G`: what the user's ssh_config and the command line make of a server.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "core/config_schema.h"
#include "core/config_ssh.h"
#include "core/config_toml.h"
#include "core/ssh/openssh_config.h"

namespace tunproxy {
namespace {

// Not one that has ended and that nobody waits for.
bool runs(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string id, name;
  char state = 'X';
  file >> id >> name >> state;
  return state != 'X' && state != 'Z';
}

constexpr const char* kKnownHost =
    "server.example ssh-ed25519 "
    "AAAAC3NzaC1lZDI1NTE5AAAAIGBUvzvBnRmVp0jG8JcEqhZ5cRkFfAqnrgrJw8i3nPnS";

class SshPath : public ::testing::Test {
 protected:
  SshPath() {
    std::string pattern = ::testing::TempDir() + "ssh_path.XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
  }
  ~SshPath() override { (void)::system(("rm -rf '" + folder_ + "'").c_str()); }

  std::string write(const std::string& name, const std::string& text) const {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path) << text;
    ::chmod(path.c_str(), 0600);
    return path;
  }

  // Keys in pairs with their values, on top of the ssh_config.
  Result<Config> resolve(const std::string& ssh_config, const std::string& server,
                         const std::vector<std::pair<const char*, const char*>>& keys = {}) {
    Config config;
    const std::string file = write("config", ssh_config);
    if (auto done = set(config, "ssh-config", file); !done) return done.error();
    if (auto done = set(config, "ssh", server); !done) return done.error();
    for (const auto& [key, text] : keys) {
      if (auto done = set(config, key, text); !done) return done.error();
    }
    ::testing::internal::CaptureStderr();
    auto done = resolve_ssh(config, "me");
    logged_ = ::testing::internal::GetCapturedStderr();
    if (!done) return done.error();
    return config;
  }

  std::string failure(const std::string& ssh_config, const std::string& server,
                      const std::vector<std::pair<const char*, const char*>>& keys = {}) {
    const auto config = resolve(ssh_config, server, keys);
    if (config) return "none";
    EXPECT_EQ(config.error().code, ErrorCode::usage);
    EXPECT_EQ(config.error().message.find('\n'), std::string::npos);
    return config.error().message;
  }

  // "user@host:port" of each.
  static std::vector<std::string> places(const Config& config) {
    std::vector<std::string> all;
    for (const SshHost& host : config.ssh.path) {
      all.push_back(host.user + "@" + host.server.to_string());
    }
    return all;
  }

  std::string folder_;
  std::string logged_;
};

using Places = std::vector<std::string>;

TEST_F(SshPath, AnAliasMeansWhatItMeansToSsh) {
  write("more", "Host alias\n  Port 2222\n  IdentityFile \"" + folder_ + "/a key\"\n");
  const auto config = resolve("Include " + folder_ +
                                  "/more\n"
                                  "Match originalhost alias\n  User you\n"
                                  "Host al*\n  HostName real.example\n"
                                  "  IdentityFile ~/%h_%r.%p\n  IdentityFile /b%%\n"
                                  "  CertificateFile /c-cert.pub\n  HostKeyAlias known\n"
                                  "  IdentitiesOnly yes\n  IdentityAgent /agent\n"
                                  "  UserKnownHostsFile /k1 /k2\n  GlobalKnownHostsFile /g\n"
                                  "  HashKnownHosts yes\n  StrictHostKeyChecking yes\n"
                                  "  ServerAliveInterval 33\n  NumberOfPasswordPrompts 1\n"
                                  "  Ciphers aes256-gcm@openssh.com\n"
                                  "  HostKeyAlgorithms ssh-ed25519\n",
                              "alias");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(places(*config), Places{"you@real.example:2222"});
  EXPECT_EQ(config->ssh.keepalive, 33U);
  const ssh::UserLoginOptions login = login_options(config->ssh.path[0]);
  EXPECT_EQ(login.host, "real.example");
  ASSERT_EQ(login.usual_identity_files.size(), 3U);
  EXPECT_EQ(login.usual_identity_files[0], folder_ + "/a key");
  EXPECT_TRUE(login.usual_identity_files[1].ends_with("/real.example_you.2222"));
  EXPECT_EQ(login.usual_identity_files[1].front(), '/');
  EXPECT_EQ(login.usual_identity_files[2], "/b%");
  EXPECT_EQ(login.certificate_files, Places{"/c-cert.pub"});
  EXPECT_EQ(login.host_key_alias, "known");
  EXPECT_TRUE(login.identities_only);
  EXPECT_EQ(login.agent_socket, "/agent");
  EXPECT_EQ(login.known_hosts_files, (Places{"/k1", "/k2"}));
  EXPECT_EQ(login.system_known_hosts_files, Places{"/g"});
  EXPECT_TRUE(login.hash_known_hosts);
  EXPECT_EQ(login.host_key_policy, ssh::HostKeyPolicy::strict);
  EXPECT_EQ(login.password_prompts, 1);
  EXPECT_EQ(login.host_key_algorithms, Places{"ssh-ed25519"});
  EXPECT_EQ(config->ssh.path[0].login.algorithms.ciphers, "aes256-gcm@openssh.com");
  EXPECT_EQ(config->ssh.path[0].login.algorithms.macs, "");
  EXPECT_EQ(logged_, "");
}

TEST_F(SshPath, WhatSshConfigLeavesOpenIsLeftToUs) {
  const auto config = resolve("", "host");
  ASSERT_TRUE(config) << config.error().message;
  const ssh::UserLoginOptions login = login_options(config->ssh.path[0]);
  const ssh::UserLoginOptions fresh;
  EXPECT_EQ(config->ssh.path[0].server.to_string(), "host:22");
  EXPECT_EQ(config->ssh.keepalive, Config::kDefaultKeepalive);
  EXPECT_TRUE(login.usual_identity_files.empty());
  EXPECT_TRUE(login.known_hosts_files.empty());
  EXPECT_EQ(login.system_known_hosts_files, fresh.system_known_hosts_files);
  EXPECT_EQ(login.host_key_policy, fresh.host_key_policy);
  EXPECT_TRUE(login.host_key_algorithms.empty());
  EXPECT_TRUE(login.preferred_methods.empty());
  EXPECT_TRUE(config->ssh.path[0].login.algorithms.ciphers.empty());
}

TEST_F(SshPath, TheCommandLineOverridesTheFileOverridesSshConfig) {
  const std::string ssh_config =
      "Host a\n  User u\n  Port 1\n  IdentityFile /config\n  UserKnownHostsFile /kc\n"
      "  ServerAliveInterval 33\n  StrictHostKeyChecking yes\n  ProxyJump gate\n"
      "  Ciphers aes128-ctr\n";
  const auto config = resolve(ssh_config, "you@a:2",
                              {{"identity", "/mine"},
                               {"known-hosts", "/km"},
                               {"keepalive", "3"},
                               {"jump", "none"},
                               {"host-key-policy", "ask"},
                               {"ciphers", "aes256-ctr"},
                               {"port", "9"}});
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(places(*config), Places{"you@a:2"});
  const ssh::UserLoginOptions login = login_options(config->ssh.path[0]);
  EXPECT_EQ(login.identity_files, Places{"/mine"});
  EXPECT_EQ(login.usual_identity_files, Places{"/config"});  // as ssh -i, which adds one
  EXPECT_EQ(login.known_hosts_files, Places{"/km"});
  EXPECT_EQ(login.host_key_policy, ssh::HostKeyPolicy::ask);
  EXPECT_EQ(config->ssh.keepalive, 3U);
  EXPECT_EQ(config->ssh.path[0].login.algorithms.ciphers, "aes256-ctr");
  EXPECT_EQ(places(*resolve(ssh_config, "a", {{"port", "9"}, {"jump", "none"}})), Places{"u@a:9"});
}

TEST_F(SshPath, EachJumpIsLookedUpByItself) {
  const std::string ssh_config =
      "Host inner\n  User i\n  ProxyJump gate,me@second:2202\n"
      "Host gate\n  HostName gate.example\n  User g\n  Port 2201\n  ProxyJump outer\n"
      "  IdentityFile /gate-key\n"
      "Host outer\n  User o\n  ProxyCommand nc %h %p\n"
      "Host second\n  ProxyJump never\n";
  const auto config = resolve(ssh_config, "inner");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(places(*config),
            (Places{"o@outer:22", "g@gate.example:2201", "me@second:2202", "i@inner:22"}));
  EXPECT_EQ(config->ssh.path[0].proxy_command, "nc %h %p");
  EXPECT_EQ(config->ssh.path[3].proxy_command, "");
  EXPECT_EQ(config->ssh.path[1].login.usual_identities, Places{"/gate-key"});
  EXPECT_EQ(config->ssh.path[1].name, "gate");
  const auto other = resolve(ssh_config, "inner", {{"jump", "x@y,gate"}});
  EXPECT_EQ(places(*other), (Places{"x@y:22", "g@gate.example:2201", "i@inner:22"}));
}

TEST_F(SshPath, PasswordAndAliasAreOfTheServerAlone) {
  const auto config = resolve("", "server",
                              {{"jump", "gate"},
                               {"ssh-password", "secret"},
                               {"host-key-alias", "alias"},
                               {"identity", "/k"}});
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_FALSE(config->ssh.path[0].login.password);
  EXPECT_EQ(config->ssh.path[0].login.host_key_alias, "");
  EXPECT_EQ(config->ssh.path[0].login.identities, Places{"/k"});
  EXPECT_EQ(config->ssh.path[1].login.password->text(), "secret");
  EXPECT_EQ(config->ssh.path[1].login.host_key_alias, "alias");
}

TEST_F(SshPath, AProxyOfTheCommandLineStandsForProxyCommand) {
  const std::string ssh_config = "Host a\n  ProxyCommand nc %h %p\n";
  EXPECT_EQ(resolve(ssh_config, "a")->ssh.path[0].proxy_command, "nc %h %p");
  EXPECT_EQ(resolve(ssh_config, "a", {{"via", "http://p"}})->ssh.path[0].proxy_command, "");
  EXPECT_EQ(resolve(ssh_config, "a", {{"proxy-command", "x"}})->ssh.path[0].proxy_command, "x");
  EXPECT_EQ(resolve(ssh_config, "a", {{"proxy-command", "none"}})->ssh.path[0].proxy_command, "");
  EXPECT_EQ(resolve(ssh_config, "a", {{"jump", "none"}})->ssh.path[0].proxy_command, "");
}

TEST_F(SshPath, ALoopOfJumpsEnds) {
  EXPECT_NE(failure("Host *\n  ProxyJump gate\n", "a").find("loop"), std::string::npos);
  EXPECT_NE(failure("Host *\n  ProxyJump b,c,d\n", "a").find("loop"), std::string::npos);
}

TEST_F(SshPath, AnyNumberOfJumpsMayBeNamed) {
  std::string list;
  Places expected;
  for (int i = 0; i < 12; ++i) {
    const std::string jump = "jump" + std::to_string(i);
    list += (i > 0 ? "," : "") + jump;
    expected.push_back("me@" + jump + ":22");
  }
  expected.push_back("me@a:22");
  const auto named = resolve("Host *\n  User me\n", "a", {{"jump", list.c_str()}});
  ASSERT_TRUE(named) << named.error().message;
  EXPECT_EQ(places(*named), expected);
  const auto configured = resolve("Host a\n  ProxyJump " + list + "\nHost *\n  User me\n", "a");
  ASSERT_TRUE(configured) << configured.error().message;
  EXPECT_EQ(places(*configured), expected);
}

TEST_F(SshPath, TheDescriptionSaysAllThatHolds) {
  const auto config = resolve(
      "Host a\n  User u\n  Port 2222\n  ProxyJump gate\n  IdentitiesOnly yes\n  IdentityAgent "
      "/agent\n"
      "  IdentityFile /i\n  CertificateFile /c\n  PasswordAuthentication no\n"
      "  NumberOfPasswordPrompts 5\n  UserKnownHostsFile /k\n  GlobalKnownHostsFile /g\n"
      "  HashKnownHosts yes\n  HostKeyAlias alias\n  StrictHostKeyChecking accept-new\n"
      "  Ciphers aes128-ctr\n  MACs hmac-sha2-512\n  KexAlgorithms ecdh-sha2-nistp384\n"
      "  HostKeyAlgorithms ssh-ed25519\n  PubkeyAcceptedAlgorithms rsa-sha2-512\n"
      "  ServerAliveInterval 33\n"
      "Host gate\n  User g\n  ProxyCommand nc %h %p\n",
      "a", {{"identity", "/own"}, {"known-host", kKnownHost}, {"ssh-password", "do not show"}});
  ASSERT_TRUE(config) << config.error().message;
  const std::string text = describe_path(*config);
  const size_t server = text.find("# SSH server u@a:2222\n");
  ASSERT_NE(server, std::string::npos) << text;
  const std::string of_jump = text.substr(0, server);
  const std::string of_server = text.substr(server);
  for (const char* line :
       {"secrets that are not shown: a password", "identity: /own",
        "identity of ssh_config, if it exists: /i", "certificate: /c", "identities-only: true",
        "identity-agent: /agent", "preferred-authentications: publickey,keyboard-interactive",
        "questions for a password: 5", "host-key-policy: accept-new", "known-hosts: /k",
        "system-known-hosts: /g", "known-host: server.example ssh-ed25519 AAAA",
        "hash-known-hosts: true", "host-key-alias: alias", "ciphers: aes128-ctr",
        "macs: hmac-sha2-512", "kex: ecdh-sha2-nistp384", "host-key-algorithms: ssh-ed25519",
        "public-key-algorithms: rsa-sha2-512"}) {
    EXPECT_NE(of_server.find("\n#   " + std::string(line)), std::string::npos) << line << text;
  }
  for (const char* line :
       {"proxy-command: nc %h %p", "identities-only: false", "identity-agent: SSH_AUTH_SOCK",
        "preferred-authentications: publickey,keyboard-interactive,password",
        "host-key-policy: ask on a terminal, else strict",
        "known-hosts: ~/.ssh/known_hosts ~/.ssh/known_hosts2", "hash-known-hosts: as the file",
        "macs: hmac-sha2-256-etm@openssh.com,", "host-key-algorithms: all"}) {
    EXPECT_NE(of_jump.find("\n#   " + std::string(line)), std::string::npos) << line << text;
  }
  EXPECT_EQ(of_jump.find("secrets"), std::string::npos) << text;
  EXPECT_EQ(text.find("do not show"), std::string::npos);
  EXPECT_NE(text.find("# a silent server is probed every 33 s\n"), std::string::npos);
}

TEST_F(SshPath, WhatIsNotHonouredIsSaidInOneLine) {
  ASSERT_TRUE(
      resolve("Host a\n  StrictHostKeyChecking no\n  RevokedHostKeys /r\n"
              "  AddressFamily inet6\n  ForwardAgent yes\n  LocalForward 1 b:2\n",
              "a"));
  EXPECT_NE(logged_.find("of a: StrictHostKeyChecking no, AddressFamily inet6, RevokedHostKeys /r"),
            std::string::npos)
      << logged_;
  EXPECT_EQ(std::count(logged_.begin(), logged_.end(), '\n'), 1);
}

TEST_F(SshPath, MethodsThatAreOffAreLeftOut) {
  const auto methods = [&](const std::string& lines) {
    return resolve("Host a\n" + lines, "a")->ssh.path[0].login.methods;
  };
  EXPECT_EQ(methods("  PasswordAuthentication no\n"), "publickey,keyboard-interactive");
  EXPECT_EQ(methods("  PreferredAuthentications password,publickey\n  PubkeyAuthentication no\n"),
            "password");
  EXPECT_EQ(methods("  PreferredAuthentications password,publickey\n"), "password,publickey");
}

TEST_F(SshPath, ABrokenSshConfigIsSshsOwnError) {
  EXPECT_NE(failure("Host a\n  Nonsense yes\n", "a").find("line 2: Bad configuration option"),
            std::string::npos);
  EXPECT_NE(failure("Host a\n  IdentityFile /%Q\n", "a").find("%Q"), std::string::npos);
  EXPECT_NE(failure("Host a\n  IdentityFile /${NO_SUCH_VARIABLE}\n", "a").find("NO_SUCH_VARIABLE"),
            std::string::npos);
  Config config;
  ASSERT_TRUE(set(config, "ssh", "host"));
  ASSERT_TRUE(set(config, "ssh-config", folder_ + "/none"));
  const auto missing = resolve_ssh(config, "me");
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find(folder_ + "/none"), std::string::npos);
}

TEST_F(SshPath, WithoutSshPlainServersWork) {
  Config config;
  ASSERT_TRUE(set(config, "ssh-config", "none"));
  ASSERT_TRUE(set(config, "ssh", "host"));
  ASSERT_TRUE(set(config, "jump", "you@gate:2222"));
  ASSERT_TRUE(resolve_ssh(config, "me"));
  EXPECT_EQ(places(config), (Places{"you@gate:2222", "me@host:22"}));
  EXPECT_FALSE(resolve_ssh(config, ""));
  ssh::OpensshQuery query;
  query.host = "host";
  query.program = "/no/such/ssh";
  const auto answer = ssh::ask_openssh(query);
  ASSERT_TRUE(answer);
  EXPECT_FALSE(*answer);
}

TEST_F(SshPath, AHostLikeAnOptionIsRefused) {
  ssh::OpensshQuery query;
  for (const char* host : {"-oProxyCommand=x", "", "a b", "a\nb"}) {
    query.host = host;
    EXPECT_FALSE(ssh::ask_openssh(query)) << host;
  }
  query.host = "a";
  query.user = "-x";
  EXPECT_FALSE(ssh::ask_openssh(query));
}

// A stand-in for ssh that misbehaves.
TEST_F(SshPath, ASlowOrTalkativeSshIsKilled) {
  ssh::OpensshQuery query;
  query.host = "a";
  query.patience = 300ms;
  query.program =
      write("slow", "#!/bin/sh\nsleep 1000 & echo $! > " + folder_ + "/id\nsleep 1000\n");
  ::chmod(query.program.c_str(), 0700);
  auto answer = ssh::ask_openssh(query);
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().message.find("too long"), std::string::npos);
  pid_t child = 0;
  std::ifstream(folder_ + "/id") >> child;
  if (child > 0) {
    for (int tries = 0; tries < 1000 && runs(child); ++tries) ::usleep(10'000);
    EXPECT_FALSE(runs(child)) << "what it started is left";
  }
  query.patience = 60s;
  query.program = write("loud", "#!/bin/sh\nexec yes\n");
  ::chmod(query.program.c_str(), 0700);
  answer = ssh::ask_openssh(query);
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().message.find("too much"), std::string::npos);
}

TEST_F(SshPath, APasswordIsTheFilesFirstLine) {
  const auto read = [](const std::string& file) { return read_password({std::nullopt, file}); };
  EXPECT_EQ((**read(write("p", "pass word\nmore\n"))).text(), "pass word");
  EXPECT_FALSE(read(write("p", "\nmore\n")));
  EXPECT_FALSE(read(folder_ + "/none"));
  EXPECT_EQ((**read_password({Secret("x"), ""})).text(), "x");
  EXPECT_FALSE(*read_password({}));
}

}  // namespace
}  // namespace tunproxy
