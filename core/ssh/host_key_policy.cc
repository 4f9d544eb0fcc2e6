#include "core/ssh/host_key_policy.h"

#include <fmt/format.h>

#include "core/base/log.h"
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

Error refuse_revoked(const HostKeyCheck& check, const HostKey& key, const KnownHost& line) {
  return refusal(fmt::format("the host key of {} ({}) is marked as revoked at {}: do not connect",
                             check.host, describe_key(key.blob), line.where()));
}

Error refuse_changed(const HostKeyCheck& check, const HostKey& key, const KnownHost& line) {
  const std::string offered = describe_key(key.blob);
  const std::string known = describe_key(line.blob);
  const std::string remedy = fmt::format("ssh-keygen -f '{}' -R '{}'", line.file,
                                         known_hosts_name(check.host, check.port));
  if (check.prompter != nullptr) {
    check.prompter->show(
        fmt::format("*** WARNING: THE HOST KEY OF {} HAS CHANGED ***\n"
                    "Someone may be in the middle of this connection and read it, or the server "
                    "got a new key.\n"
                    "  offered now:  {}\n"
                    "  known so far: {}\n"
                    "                ({})\n"
                    "Ask the server's administrator for its fingerprint. Only if it is the one "
                    "offered now, remove "
                    "the old key with\n"
                    "  {}\n"
                    "and connect again.\n",
                    check.host, offered, known, line.where(), remedy));
  }
  return refusal(
      fmt::format("the host key of {} has changed: it offers {}, but {} is known ({}); this may be "
                  "an attack. If "
                  "the new key is right, remove the old one with: {}",
                  check.host, offered, known, line.where(), remedy));
}

Error refuse_unknown(const HostKeyCheck& check, const HostKey& key, bool only_certificates) {
  if (only_certificates) {
    return refusal(
        fmt::format("the host key of {} ({}) is not known: only a certificate authority is, and "
                    "host certificates "
                    "are not supported; add the key itself to {}",
                    check.host, describe_key(key.blob), display_path(file_for_new_keys(check))));
  }
  return refusal(
      fmt::format("the host key of {} ({}) is not known; compare the fingerprint and add it by "
                  "connecting once from "
                  "a terminal, or with --host-key-policy accept-new",
                  check.host, describe_key(key.blob)));
}

Result<void> remember(const HostKeyCheck& check, const HostKey& key) {
  const std::string file = file_for_new_keys(check);
  if (file.empty()) return {};
  const std::string name = known_hosts_name(check.host, check.port);
  if (auto added = add_known_host(file, name, key.blob); !added) {
    log::warn("the host key of {} is accepted but could not be remembered: {}", name,
              added.error().message);
    return {};
  }
  log::info("added {} ({}) to {}", name, describe_key(key.blob), display_path(file));
  return {};
}

std::string introduce(const HostKeyCheck& check, const HostKey& key, const KnownHosts& known,
                      bool only_certificates) {
  std::string text = fmt::format(
      "The host {} is not known yet, so it could be anyone.\n{} key fingerprint is {}.\n",
      known_hosts_name(check.host, check.port), display_type(key.type), fingerprint(key.blob));
  if (only_certificates) {
    text += "A certificate authority is known for it, but host certificates are not supported.\n";
  }
  const auto names = known.other_names(key.blob);
  text += names.empty() ? "This key is not known by any other name.\n"
                        : "This key is known by other names:\n";
  for (const std::string& name : names) text += "    " + name + "\n";
  return text;
}

Result<std::string> ask_user(const HostKeyCheck& check, std::string_view question) {
  if (check.asking != nullptr) *check.asking = true;
  auto answer = check.prompter->ask(question, true);
  if (check.asking != nullptr) *check.asking = false;
  return answer;
}

std::string trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

/// "yes" or the very fingerprint is consent, "no" is not; anything else is asked again.
Result<void> ask_about(const HostKeyCheck& check, const HostKey& key,
                       const std::string& introduction) {
  check.prompter->show(introduction);
  std::string_view question =
      "Are you sure you want to continue connecting (yes/no/[fingerprint])? ";
  for (int i = 0; i < kMaxQuestions; ++i) {
    const auto answer = ask_user(check, question);
    if (!answer) {
      return refusal(fmt::format("the host key of {} ({}) is not known and nobody confirmed it: {}",
                                 check.host, describe_key(key.blob), answer.error().message));
    }
    const std::string text = trimmed(*answer);
    if (text == "yes" || text == fingerprint(key.blob)) return remember(check, key);
    if (text == "no") break;
    question = "Please type 'yes', 'no' or the fingerprint: ";
  }
  return refusal(
      fmt::format("the host key of {} ({}) was not confirmed", check.host, describe_key(key.blob)));
}

}  // namespace

Result<HostKeyPolicy> parse_host_key_policy(std::string_view name) {
  if (name == "strict") return HostKeyPolicy::strict;
  if (name == "ask") return HostKeyPolicy::ask;
  if (name == "accept-new") return HostKeyPolicy::accept_new;
  return Error{ErrorCode::usage,
               fmt::format("host key policy '{}': must be strict, ask or accept-new", name)};
}

Result<void> check_host_key(const HostKeyCheck& check, const HostKey& key) {
  std::vector<std::string> files = check.user_files;
  files.insert(files.end(), check.system_files.begin(), check.system_files.end());
  const KnownHosts known = KnownHosts::load(files);
  const KnownHosts::Finding finding = known.look_up(check.host, check.port, key.blob);
  switch (finding.verdict) {
    case KnownHosts::Verdict::match:
      log::debug("host key {} is known ({})", describe_key(key.blob), finding.line->where());
      return {};
    case KnownHosts::Verdict::revoked:
      return refuse_revoked(check, key, *finding.line);
    case KnownHosts::Verdict::changed:
      return refuse_changed(check, key, *finding.line);
    case KnownHosts::Verdict::unknown:
      break;
  }
  if (check.policy == HostKeyPolicy::accept_new) return remember(check, key);
  if (check.policy == HostKeyPolicy::ask && check.prompter != nullptr) {
    return ask_about(check, key, introduce(check, key, known, finding.only_certificates));
  }
  return refuse_unknown(check, key, finding.only_certificates);
}

}  // namespace tunproxy::ssh
