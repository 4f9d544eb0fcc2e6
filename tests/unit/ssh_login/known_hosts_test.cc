#include "core/ssh/known_hosts.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <random>

#include "core/ssh/fingerprint.h"
#include "core/ssh/key_file.h"
#include "tests/unit/ssh_login/shell.h"

namespace tunproxy::ssh {
namespace {

using testing::make_key;
using testing::read_file;
using testing::run;
using testing::ScratchDirectory;
using testing::write_file;
using Verdict = KnownHosts::Verdict;

/// "type base64" of a key that exists only on paper, different for each `seed`.
std::string key_text(uint8_t seed, std::string_view type = "ssh-ed25519") {
  ByteVector blob;
  append_string(blob, as_bytes(type));
  append_string(blob, ByteVector(32, seed));
  return std::string(type) + " " + base64_encode(blob);
}

ByteVector key_blob(uint8_t seed, std::string_view type = "ssh-ed25519") {
  return parse_public_key(key_text(seed, type));
}

class KnownHostsTest : public ::testing::Test {
 protected:
  KnownHosts load(const std::string& text) {
    write_file(file_, text);
    return KnownHosts::load({file_});
  }

  ScratchDirectory scratch_;
  std::string file_ = scratch_.path("known_hosts");
};

struct PatternCase {
  const char* patterns;
  const char* name;
  bool matches;
};

class PatternTest : public ::testing::TestWithParam<PatternCase> {};

TEST_P(PatternTest, MatchesAsOpensshDoes) {
  EXPECT_EQ(matches_patterns(GetParam().patterns, GetParam().name), GetParam().matches)
      << GetParam().patterns << " / " << GetParam().name;
}

INSTANTIATE_TEST_SUITE_P(
    All, PatternTest,
    ::testing::Values(
        PatternCase{"host", "host", true}, PatternCase{"host", "hosts", false},
        PatternCase{"hosts", "host", false}, PatternCase{"HOST.Example", "host.example", true},
        PatternCase{"a,b,c", "b", true}, PatternCase{"a,b,c", "d", false},
        PatternCase{"*", "anything", true}, PatternCase{"*", "", true},
        PatternCase{"*.example", "a.example", true}, PatternCase{"*.example", "example", false},
        PatternCase{"*.example", "a.b.example", true}, PatternCase{"a*b*c", "aXbYbZc", true},
        PatternCase{"a*b*c", "aXbY", false}, PatternCase{"192.0.2.?", "192.0.2.7", true},
        PatternCase{"192.0.2.?", "192.0.2.70", false}, PatternCase{"h?st", "hst", false},
        PatternCase{"*.example,!bad.example", "good.example", true},
        PatternCase{"*.example,!bad.example", "bad.example", false},
        PatternCase{"!bad.example,*.example", "bad.example", false},
        PatternCase{"!bad.example", "good.example", false},
        PatternCase{"[*.example]:2222", "[a.example]:2222", true},
        PatternCase{"[*.example]:2222", "[a.example]:22", false},
        PatternCase{"[host]:2222", "host", false}, PatternCase{"", "host", false},
        PatternCase{"a**b", "ab", true}));

TEST(KnownHostsNames, PortsInBrackets) {
  EXPECT_EQ(known_hosts_name("Host", 22), "host");
  EXPECT_EQ(known_hosts_name("Host", 2222), "[host]:2222");
  EXPECT_EQ(known_hosts_name("2001:db8::1", 22), "2001:db8::1");
}

TEST_F(KnownHostsTest, Verdicts) {
  const KnownHosts known =
      load("a " + key_text(1) + " comment here\n\n# remark\n  b\t" + key_text(2));
  EXPECT_EQ(known.look_up({"a", 22}, key_blob(1)).verdict, Verdict::match);
  EXPECT_EQ(known.look_up({"A", 22}, key_blob(1)).verdict, Verdict::match);
  EXPECT_EQ(known.look_up({"b", 22}, key_blob(2)).verdict, Verdict::match);
  EXPECT_EQ(known.look_up({"c", 22}, key_blob(1)).verdict, Verdict::unknown);
  const auto changed = known.look_up({"b", 22}, key_blob(9));
  EXPECT_EQ(changed.verdict, Verdict::changed);
  EXPECT_EQ(changed.line->where(), file_ + ":4");
}

TEST_F(KnownHostsTest, AnotherTypeAloneIsAChange) {
  const KnownHosts known = load("a " + key_text(1, "ssh-rsa") + "\na " + key_text(2) + "\n");
  EXPECT_EQ(known.look_up({"a", 22}, key_blob(3)).line->line, 2U);
  EXPECT_EQ(known.look_up({"a", 22}, key_blob(3, "ecdsa-sha2-nistp256")).verdict, Verdict::changed);
}

TEST_F(KnownHostsTest, OneOfSeveralKeysSuffices) {
  const KnownHosts known = load("a " + key_text(1) + "\na " + key_text(2) + "\n");
  EXPECT_EQ(known.look_up({"a", 22}, key_blob(1)).verdict, Verdict::match);
  EXPECT_EQ(known.look_up({"a", 22}, key_blob(2)).verdict, Verdict::match);
}

TEST_F(KnownHostsTest, RevokedOutweighsAMatch) {
  const KnownHosts known = load("a " + key_text(1) + "\n@revoked * " + key_text(1) + "\n");
  const auto finding = known.look_up({"a", 22}, key_blob(1));
  EXPECT_EQ(finding.verdict, Verdict::revoked);
  EXPECT_EQ(finding.line->line, 2U);
  EXPECT_EQ(known.look_up({"a", 2222}, key_blob(1)).verdict, Verdict::revoked);
  EXPECT_EQ(known.look_up({"a", 22}, key_blob(2)).verdict, Verdict::changed);
}

TEST_F(KnownHostsTest, CertificateAuthorityDoesNotVouchForAPlainKey) {
  const KnownHosts known = load("@cert-authority *.example " + key_text(1) + "\n");
  const auto finding = known.look_up({"a.example", 22}, key_blob(1));
  EXPECT_EQ(finding.verdict, Verdict::unknown);
  ASSERT_NE(finding.authority, nullptr);
  EXPECT_EQ(finding.authority->line, 1U);
  EXPECT_EQ(known.look_up({"other", 22}, key_blob(1)).authority, nullptr);
}

TEST_F(KnownHostsTest, BadLinesAreSkipped) {
  const KnownHosts known =
      load("a\na ssh-ed25519\na ssh-ed25519 !!!!\na ssh-rsa " + key_text(1).substr(12) +
           "\n@unknown a " + key_text(1) + "\n1024 35 1234567890\n|1|bad|hash " + key_text(1) +
           "\na ssh-ed25519 AAAA\n" + std::string(100000, 'x') + "\nb " + key_text(2) + "\r\n");
  EXPECT_EQ(known.look_up({"a", 22}, key_blob(1)).verdict, Verdict::unknown);
  EXPECT_EQ(known.look_up({"b", 22}, key_blob(2)).verdict, Verdict::match);
}

TEST_F(KnownHostsTest, PortFallsBackToTheHost) {
  const KnownHosts known = load("a " + key_text(1) + "\n[a]:2222 " + key_text(2) + "\n");
  EXPECT_EQ(known.look_up({"a", 2222}, key_blob(2)).verdict, Verdict::match);
  EXPECT_EQ(known.look_up({"a", 2222}, key_blob(1)).verdict, Verdict::changed);
  EXPECT_EQ(known.look_up({"a", 2223}, key_blob(1)).verdict, Verdict::match);
  EXPECT_EQ(known.look_up({"a", 2223}, key_blob(3)).verdict, Verdict::unknown);
  EXPECT_EQ(known.look_up({"a", 22}, key_blob(2)).verdict, Verdict::changed);
}

TEST_F(KnownHostsTest, SeveralFilesAndMissingOnes) {
  write_file(scratch_.path("one"), "a " + key_text(1) + "\n");
  write_file(scratch_.path("two"), "b " + key_text(2) + "\n");
  const KnownHosts known =
      KnownHosts::load({scratch_.path("one"), scratch_.path("missing"), scratch_.path("two")});
  EXPECT_EQ(known.look_up({"b", 22}, key_blob(2)).line->where(), scratch_.path("two") + ":1");
}

TEST_F(KnownHostsTest, AlgorithmsThatAreKnownComeFirst) {
  const std::string all =
      "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,"
      "rsa-sha2-256";
  const KnownHosts known = load("a " + key_text(1, "ssh-rsa") + "\n");
  EXPECT_EQ(known.host_key_algorithms({"b", 22}, {}), all);
  EXPECT_EQ(known.host_key_algorithms({"a", 22}, {}),
            "rsa-sha2-512,rsa-sha2-256,ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,"
            "ecdsa-sha2-nistp521");
}

TEST_F(KnownHostsTest, CertificatesAreOfferedWhereAnAuthorityIsKnown) {
  const KnownHosts known = load("@cert-authority *.example " + key_text(1) + "\nb.example " +
                                key_text(2, "ssh-rsa") + "\n");
  EXPECT_EQ(known.host_key_algorithms({"b.example", 22}, {}).substr(0, 33),
            "ssh-ed25519-cert-v01@openssh.com,");
  EXPECT_EQ(known.host_key_algorithms({"b.test", 22}, {}).find("cert"), std::string::npos);
  EXPECT_EQ(known.host_key_algorithms({"b.example", 22}, {"ssh-ed25519", "no-such", "rsa-sha2-256",
                                                          "rsa-sha2-512-cert-v01@openssh.com"}),
            "rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256,ssh-ed25519");
  EXPECT_EQ(known.host_key_algorithms({"b.example", 22}, {"ssh-dss"}), "");
}

TEST_F(KnownHostsTest, AnAliasStandsForHostAndPort) {
  const KnownHosts known = load("alias " + key_text(1) + "\n");
  EXPECT_EQ(known.look_up({"a", 2222, "Alias"}, key_blob(1)).verdict, Verdict::match);
  EXPECT_EQ(known.look_up({"alias", 2222, "other"}, key_blob(1)).verdict, Verdict::unknown);
}

TEST_F(KnownHostsTest, OtherNamesOfAKey) {
  const KnownHosts known = load("a,b " + key_text(1) + "\nc " + key_text(2) + "\n");
  EXPECT_EQ(known.other_names(key_blob(1)), std::vector<std::string>{file_ + ":1: a,b"});
}

TEST_F(KnownHostsTest, HashedByTheRealTool) {
  const std::string key = make_key(scratch_.path("key"), {"-t", "ed25519"});
  write_file(file_, "plain.example " + key + "[ported.example]:2222 " + key);
  ASSERT_EQ(run({"ssh-keygen", "-q", "-H", "-f", file_}).status, 0);
  ASSERT_EQ(read_file(file_).find("example"), std::string::npos);
  const KnownHosts known = KnownHosts::load({file_});
  const ByteVector blob = parse_public_key(key);
  EXPECT_EQ(known.look_up({"plain.example", 22}, blob).verdict, Verdict::match);
  EXPECT_EQ(known.look_up({"ported.example", 2222}, blob).verdict, Verdict::match);
  EXPECT_EQ(known.look_up({"ported.example", 22}, blob).verdict, Verdict::unknown);
  EXPECT_EQ(known.look_up({"plain.example", 22}, key_blob(1)).verdict, Verdict::changed);
}

/// For names made from a small alphabet, `ssh-keygen -F` finds a name in a file exactly if we do.
TEST_F(KnownHostsTest, FindsWhatSshKeygenFinds) {
  const std::string key = make_key(scratch_.path("key"), {"-t", "ed25519"});
  const ByteVector blob = parse_public_key(key);
  const std::string shared_key = key.substr(0, key.rfind(' '));
  const char* fields[] = {"aa",        "ab,ba",     "*a",       "a?",        "*,!ab",    "[aa]:7",
                          "[*a]:7,bb", "![aa]:7,*", "!a?,[*]*", "[ab]:7,ab", "AB,[BA]:7"};
  const char* names[] = {"aa", "ab", "ba", "bb", "[aa]:7", "[ab]:7", "[ba]:7", "[bb]:77"};
  for (const char* field : fields) {
    for (const bool hashed : {false, true}) {
      if (hashed && std::string_view(field).find_first_of("*?!") != std::string_view::npos)
        continue;
      write_file(file_, std::string(field) + " " + shared_key + "\n");
      if (hashed) {
        ASSERT_EQ(run({"ssh-keygen", "-q", "-H", "-f", file_}).status, 0);
      }
      const KnownHosts known = KnownHosts::load({file_});
      for (const char* name : names) {
        const bool theirs = run({"ssh-keygen", "-F", name, "-f", file_}).status == 0;
        const bool ours = known.look_up_name(name, blob).verdict == Verdict::match;
        EXPECT_EQ(ours, theirs) << field << " / " << name << (hashed ? " hashed" : "");
      }
    }
  }
}

TEST_F(KnownHostsTest, AddingKeepsTheFileAndItsLastLine) {
  write_file(file_, "# mine\na " + key_text(1), 0644);  // no newline at the end
  ASSERT_TRUE(add_known_host(file_, "[b]:2222", key_blob(2), false));
  EXPECT_EQ(read_file(file_), "# mine\na " + key_text(1) + "\n[b]:2222 " + key_text(2) + "\n");
  struct stat status {};
  ASSERT_EQ(::stat(file_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0644U);
}

TEST_F(KnownHostsTest, AddingMakesFileAndDirectory) {
  const std::string file = scratch_.path("new/known_hosts");
  ASSERT_TRUE(add_known_host(file, "a", key_blob(1), false));
  EXPECT_EQ(read_file(file), "a " + key_text(1) + "\n");
  struct stat status {};
  ASSERT_EQ(::stat(scratch_.path("new").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700U);
}

TEST_F(KnownHostsTest, AddingHashesWhereNamesAreHashed) {
  write_file(file_, "a " + key_text(1) + "\n");
  ASSERT_EQ(run({"ssh-keygen", "-q", "-H", "-f", file_}).status, 0);
  ASSERT_TRUE(add_known_host(file_, "secret.example", key_blob(2), false));
  EXPECT_EQ(read_file(file_).find("secret"), std::string::npos);
  EXPECT_EQ(run({"ssh-keygen", "-F", "secret.example", "-f", file_}).status, 0);
  EXPECT_EQ(KnownHosts::load({file_}).look_up({"a", 22}, key_blob(1)).verdict, Verdict::match);
}

TEST_F(KnownHostsTest, AddingHashesWhereTheConfigurationWantsIt) {
  write_file(file_, "a " + key_text(1) + "\n");
  ASSERT_TRUE(add_known_host(file_, "secret.example", key_blob(2), true));
  EXPECT_EQ(read_file(file_).find("secret"), std::string::npos);
  EXPECT_EQ(run({"ssh-keygen", "-F", "secret.example", "-f", file_}).status, 0);
}

TEST_F(KnownHostsTest, AddingTwiceIsAddingOnce) {
  ASSERT_TRUE(add_known_host(file_, "a", key_blob(1), false));
  ASSERT_TRUE(add_known_host(file_, "a", key_blob(1), true));
  EXPECT_EQ(read_file(file_), "a " + key_text(1) + "\n");
}

TEST_F(KnownHostsTest, AddingAtOnceLosesNothing) {
  constexpr int kProcesses = 6;
  constexpr int kLines = 20;
  std::vector<pid_t> children;
  for (int process = 0; process < kProcesses; ++process) {
    const pid_t child = ::fork();
    if (child == 0) {
      bool added = true;
      for (int line = 0; line < kLines; ++line) {
        const std::string name = "h" + std::to_string(process) + "-" + std::to_string(line);
        added = add_known_host(file_, name, key_blob(1), false) && added;
      }
      ::_exit(added ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  const KnownHosts known = KnownHosts::load({file_});
  EXPECT_EQ(known.lines().size(), static_cast<size_t>(kProcesses * kLines));
}

TEST_F(KnownHostsTest, AddingFollowsALinkInsteadOfReplacingIt) {
  write_file(scratch_.path("real"), "");
  std::filesystem::create_symlink(scratch_.path("real"), file_);
  ASSERT_TRUE(add_known_host(file_, "a", key_blob(1), false));
  EXPECT_TRUE(std::filesystem::is_symlink(file_));
  EXPECT_EQ(read_file(scratch_.path("real")), "a " + key_text(1) + "\n");
}

TEST_F(KnownHostsTest, AddingWhereNothingCanBeWrittenSaysSo) {
  const auto added = add_known_host("/proc/none/known_hosts", "a", key_blob(1), false);
  ASSERT_FALSE(added);
  EXPECT_NE(added.error().message.find("/proc/none"), std::string::npos);
}

/// Lines cut and bent at random must neither crash nor match.
TEST_F(KnownHostsTest, BentLinesDoNotMatch) {
  std::mt19937 random(1);
  const std::string line =
      "|1|AAAAAAAAAAAAAAAAAAAAAAAAAAA=|AAAAAAAAAAAAAAAAAAAAAAAAAAA= " + key_text(1);
  for (int i = 0; i < 2000; ++i) {
    std::string bent = line.substr(0, random() % line.size());
    if (!bent.empty()) bent[random() % bent.size()] = static_cast<char>(random() % 256);
    const auto host = parse_known_host(bent);
    if (host) {
      EXPECT_FALSE(host->matches("a"));
    }
  }
}

TEST(Fingerprints, EqualThoseOfSshKeygen) {
  ScratchDirectory scratch;
  const std::string key = make_key(scratch.path("key"), {"-t", "ecdsa", "-b", "384"});
  const std::string theirs = run({"ssh-keygen", "-l", "-f", scratch.path("key.pub")}).output;
  EXPECT_NE(theirs.find(fingerprint(parse_public_key(key))), std::string::npos) << theirs;
  EXPECT_EQ(describe_key(parse_public_key(key)).substr(0, 13), "ECDSA SHA256:");
}

TEST(Base64, TakesOnlyItsOwn) {
  EXPECT_EQ(base64_decode("AQI="), (ByteVector{1, 2}));
  EXPECT_EQ(base64_encode(ByteVector{1, 2}), "AQI=");
  for (const char* bad : {"", "AQI", "AQ I", "AQI=AQI=", "====", "AQI-", "A===", "AQI\n"}) {
    EXPECT_FALSE(base64_decode(bad)) << bad;
  }
}

}  // namespace
}  // namespace tunproxy::ssh
