#include "core/ssh/host_key_policy.h"

#include <fmt/format.h>

#include <chrono>
#include <optional>
#include <utility>

#include "core/base/log.h"
#include "core/ssh/certificate.h"
#include "core/ssh/fingerprint.h"
#include "core/ssh/known_hosts.h"

namespace tunproxy::ssh {
namespace {

constexpr int kMaxQuestions = 10;

Error refusal(std::string message) {
  return {ErrorCode::host_key_refused, std::move(message)};
}

std::string file_for_new_keys(const HostKeyCheck& check) {
  return check.user_files.empty() ? std::string() : check.user_files.front();
}

HostName host_name(const HostKeyCheck& check) {
  return {check.host, check.port, check.alias};
}

uint64_t now() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(
                                   std::chrono::system_clock::now().time_since_epoch())
                                   .count());
}

/// What the server showed, and what is known of it.
struct Showing {
  ByteVector key;  ///< the plain one
  /// Why no authority vouches for it though one is known for the host, or it has a certificate.
  std::string problem;
};

Error refuse_revoked(const HostKeyCheck& check, Bytes key, const KnownHost& line) {
  return refusal(fmt::format("the host key of {} ({}) is marked as revoked at {}: do not connect",
                             check.host, describe_key(key), line.where()));
}

std::string how_to_remove(const HostKeyCheck& check, const KnownHost& line) {
  if (!line.file.empty()) {
    return fmt::format("remove the old one with: ssh-keygen -f '{}' -R '{}'", line.file,
                       host_name(check).name);
  }
  return line.line > 0 ? "take the old one out of known-host" : "stop the tunnel and start it anew";
}

Error refuse_changed(const HostKeyCheck& check, const Showing& showing, const KnownHost& line) {
  const std::string offered = describe_key(showing.key);
  const std::string known = describe_key(line.blob);
  const std::string remedy = how_to_remove(check, line);
  if (check.prompter != nullptr) {
    check.prompter->show(
        fmt::format("*** WARNING: THE HOST KEY OF {} HAS CHANGED ***\n"
                    "Someone may be in the middle of this connection and read it, or the server "
                    "got a new key.\n"
                    "  offered now:  {}\n"
                    "  known so far: {}\n"
                    "                ({})\n"
                    "Ask the server's administrator for its fingerprint. Only if it is the one "
                    "offered now,\n"
                    "  {}\n"
                    "and connect again.\n",
                    check.host, offered, known, line.where(), remedy));
  }
  return refusal(
      fmt::format("the host key of {} has changed: it offers {}, but {} is known ({}); this may be "
                  "an attack. If "
                  "the new key is right, {}",
                  check.host, offered, known, line.where(), remedy));
}

Error refuse_unknown(const HostKeyCheck& check, const Showing& showing) {
  if (!showing.problem.empty()) {
    return refusal(fmt::format(
        "the host key of {} ({}) is not trusted: {}; have the server's certificate renewed, or add "
        "the key itself to {}",
        check.host, describe_key(showing.key), showing.problem,
        display_path(file_for_new_keys(check))));
  }
  return refusal(
      fmt::format("the host key of {} ({}) is not known; compare the fingerprint and add it by "
                  "connecting once from "
                  "a terminal, or with --host-key-policy accept-new",
                  check.host, describe_key(showing.key)));
}

// Nothing: it stands there. Else why it does not: some files take everything and keep nothing.
std::optional<std::string> write_down(const HostKeyCheck& check, const std::string& name,
                                      Bytes key) {
  const std::string file = file_for_new_keys(check);
  if (file.empty()) return "there is no file for it";
  if (auto added = add_known_host(file, name, key, check.hash); !added) {
    return added.error().message;
  }
  if (KnownHosts::load({file}).look_up_name(name, key).verdict != KnownHosts::Verdict::match) {
    return file + " does not keep it";
  }
  log::info("added {} ({}) to {}", name, describe_key(key), display_path(file));
  return std::nullopt;
}

Result<void> remember(const HostKeyCheck& check, Bytes key) {
  const std::string name = host_name(check).name;
  if (const auto problem = write_down(check, name, key)) {
    log::warn("the host key of {} is accepted until the tunnel stops: {}", name, *problem);
    if (check.accepted != nullptr) check.accepted->add(name, key);
  }
  return {};
}

std::string introduce(const HostKeyCheck& check, const Showing& showing, const KnownHosts& known) {
  std::string text = fmt::format(
      "The host {} is not known yet, so it could be anyone.\n{} key fingerprint is {}.\n",
      host_name(check).name, display_type(key_type(showing.key)), fingerprint(showing.key));
  if (!showing.problem.empty()) {
    text += "No certificate authority vouches for it: " + showing.problem + ".\n";
  }
  const auto names = known.other_names(showing.key);
  text += names.empty() ? "This key is not known by any other name.\n"
                        : "This key is known by other names:\n";
  for (const std::string& name : names) text += "    " + name + "\n";
  return text;
}

// No timeout runs while the user thinks.
class Asking {
 public:
  explicit Asking(const HostKeyCheck& check) : asking_(check.asking) { set(true); }
  Asking(const Asking&) = delete;
  Asking& operator=(const Asking&) = delete;
  ~Asking() { set(false); }

 private:
  void set(bool is) {
    if (asking_ != nullptr) *asking_ = is;
  }
  std::atomic<bool>* asking_;
};

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

Result<void> not_confirmed(const HostKeyCheck& check, Bytes key) {
  return refusal(
      fmt::format("the host key of {} ({}) was not confirmed", check.host, describe_key(key)));
}

// That the question is withdrawn says nothing about the key.
Result<void> unanswered(const HostKeyCheck& check, Bytes key, const Error& why) {
  if (why.code == ErrorCode::cancelled) return why;
  return refusal(fmt::format("the host key of {} ({}) is not known and nobody confirmed it: {}",
                             check.host, describe_key(key), why.message));
}

/// "yes" or the very fingerprint is consent, "no" is not; anything else is asked again.
Result<void> ask_about(const HostKeyCheck& check, Bytes key, const std::string& introduction) {
  const Asking asking(check);
  const auto trust =
      check.prompter->trust({host_name(check).name, std::string(key_type(key)), fingerprint(key),
                             known_host_line(host_name(check).name, key)},
                            *check.cancelled);
  if (!trust) return unanswered(check, key, trust.error());
  if (*trust == Prompter::Trust::yes) return remember(check, key);
  if (*trust == Prompter::Trust::no) return not_confirmed(check, key);
  check.prompter->show(introduction);
  std::string_view question =
      "Are you sure you want to continue connecting (yes/no/[fingerprint])? ";
  for (int i = 0; i < kMaxQuestions; ++i) {
    const auto answer = check.prompter->ask(question, true, *check.cancelled);
    if (!answer) return unanswered(check, key, answer.error());
    const std::string_view text = trimmed(answer->text());
    if (text == "yes" || text == fingerprint(key)) return remember(check, key);
    if (text == "no") break;
    question = "Please type 'yes', 'no' or the fingerprint: ";
  }
  return not_confirmed(check, key);
}

/// Does an authority of the host vouch for the certificate? An Error says why not.
Result<void> check_certificate(const HostKeyCheck& check, const KnownHosts& known,
                               const Certificate& certificate) {
  const HostName host = host_name(check);
  const KnownHost* line = known.find_authority(host, certificate.authority);
  if (line == nullptr) {
    return refusal(fmt::format("its certificate is signed by {}, which is no authority for it",
                               describe_key(certificate.authority)));
  }
  if (auto good = check_host_certificate(certificate, host.bare, now()); !good) {
    return refusal("its certificate does not hold: " + good.error().message);
  }
  log::debug("host certificate '{}' by {} ({}) holds, {}", certificate.id, describe_key(line->blob),
             line->where(), describe_validity(certificate, now()));
  return {};
}

/// The outcome for a plain key, or for one whose certificate does not help.
Result<void> check_plain(const HostKeyCheck& check, const KnownHosts& known, Showing showing) {
  const KnownHosts::Finding finding = known.look_up(host_name(check), showing.key);
  switch (finding.verdict) {
    case KnownHosts::Verdict::match:
      log::debug("host key {} is known ({})", describe_key(showing.key), finding.line->where());
      return {};
    case KnownHosts::Verdict::revoked:
      return refuse_revoked(check, showing.key, *finding.line);
    case KnownHosts::Verdict::changed:
      return refuse_changed(check, showing, *finding.line);
    case KnownHosts::Verdict::unknown:
      break;
  }
  if (finding.authority != nullptr && showing.problem.empty()) {
    showing.problem =
        fmt::format("it shows no certificate, though an authority is known for it ({})",
                    finding.authority->where());
  }
  const bool is_new = finding.authority == nullptr;
  if (check.policy == HostKeyPolicy::accept_new && is_new) return remember(check, showing.key);
  if (check.policy == HostKeyPolicy::ask && check.prompter != nullptr) {
    return ask_about(check, showing.key, introduce(check, showing, known));
  }
  return refuse_unknown(check, showing);
}

}  // namespace

KnownHosts known_hosts(const HostKeyCheck& check) {
  std::vector<std::string> files = check.user_files;
  files.insert(files.end(), check.system_files.begin(), check.system_files.end());
  KnownHosts known = KnownHosts::load(files);
  known.add_lines(check.lines);
  if (check.accepted != nullptr) known.add(check.accepted->all());
  return known;
}

Result<void> check_host_key(const HostKeyCheck& check, const HostKey& key) {
  const KnownHosts known = known_hosts(check);
  if (!is_certificate(key_type(key.blob))) return check_plain(check, known, {key.blob, {}});

  const auto certificate = parse_certificate(key.blob);
  if (!certificate) return refusal(check.host + ": " + certificate.error().message);
  for (const ByteVector* blob : {&certificate->key, &certificate->authority}) {
    if (const KnownHost* line = known.find_revoked(host_name(check), *blob)) {
      return refuse_revoked(check, *blob, *line);
    }
  }
  const auto vouched = check_certificate(check, known, *certificate);
  if (vouched) return {};
  return check_plain(check, known, {certificate->key, vouched.error().message});
}

}  // namespace tunproxy::ssh
