#include "core/ssh/auth_keys.h"

#include <unistd.h>

#include <algorithm>

#include "core/base/log.h"
#include "core/ssh/fingerprint.h"

namespace tunproxy::ssh {
namespace {

bool has(const std::vector<AgentKey>& agent, const ByteVector& blob) {
  return !blob.empty() && std::any_of(agent.begin(), agent.end(),
                                      [&](const AgentKey& key) { return key.blob == blob; });
}

CandidateKey from_agent(AgentKey& key) {
  return {"agent key " + describe_key(key.blob), true, std::move(key.blob), std::nullopt};
}

CandidateKey from_file(const KeyFile& file) {
  return {display_path(file.path), false, file.public_blob, file};
}

}  // namespace

std::vector<CandidateKey> order_keys(std::vector<AgentKey> agent, const std::vector<KeyFile>& named,
                                     const std::vector<std::string>& defaults,
                                     std::vector<std::string>& remarks) {
  std::vector<KeyFile> files;
  const auto add_file = [&](const KeyFile& file) {
    if (has(agent, file.public_blob)) return;
    if (file.format == KeyFile::Format::public_only) {
      remarks.push_back(display_path(file.path) + " (the agent does not have it)");
      return;
    }
    files.push_back(file);
  };
  for (const KeyFile& file : named) add_file(file);
  for (const std::string& path : defaults) {
    if (::access(path.c_str(), F_OK) != 0) continue;
    auto file = KeyFile::read(path);
    if (file) {
      add_file(*file);
    } else {
      log::warn("{}", file.error().message);
      remarks.push_back(display_path(path) + " (unusable)");
    }
  }
  std::stable_partition(agent.begin(), agent.end(), [&](const AgentKey& key) {
    return std::any_of(named.begin(), named.end(),
                       [&](const KeyFile& file) { return file.public_blob == key.blob; });
  });
  std::vector<CandidateKey> keys;
  for (AgentKey& key : agent) keys.push_back(from_agent(key));
  for (const KeyFile& file : files) keys.push_back(from_file(file));
  return keys;
}

}  // namespace tunproxy::ssh
