#include "core/ssh/auth_keys.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "core/base/log.h"
#include "core/ssh/certificate.h"
#include "core/ssh/fingerprint.h"

namespace tunproxy::ssh {
namespace {

struct NamedCertificate {
  std::string path;
  ByteVector blob;
  ByteVector key;  ///< the plain one
};

bool has(const std::vector<AgentKey>& agent, const ByteVector& blob) {
  return !blob.empty() && std::any_of(agent.begin(), agent.end(),
                                      [&](const AgentKey& key) { return key.blob == blob; });
}

uint64_t now() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(
                                   std::chrono::system_clock::now().time_since_epoch())
                                   .count());
}

class Collector {
 public:
  Collector(std::vector<AgentKey> agent, const KeySources& sources,
            std::vector<std::string>& remarks)
      : agent_(std::move(agent)), sources_(sources), remarks_(remarks), files_(sources.named) {}

  std::vector<CandidateKey> collect() {
    read_usual_files();
    read_certificates();
    for (const NamedCertificate& certificate : certificates_) add_certificate(certificate);
    add_agent_keys();
    add_files();
    return std::move(keys_);
  }

 private:
  void read_usual_files() {
    for (const std::string& path : sources_.usual) {
      if (::access(path.c_str(), F_OK) != 0) continue;
      if (auto file = KeyFile::read(path)) {
        files_.push_back(std::move(*file));
      } else {
        log::warn("{}", file.error().message);
        remarks_.push_back(display_path(path) + " (unusable)");
      }
    }
  }

  void read_certificates() {
    for (const std::string& path : sources_.certificates) {
      if (auto blob = read_certificate(path)) {
        know_certificate(display_path(path), *blob);
      } else {
        log::warn("{}", blob.error().message);
        remarks_.push_back(display_path(path) + " (unusable)");
      }
    }
    for (const KeyFile& file : files_) {
      if (!file.certificate.empty()) {
        know_certificate("certificate of " + display_path(file.path), file.certificate);
      }
    }
  }

  void know_certificate(std::string label, const ByteVector& blob) {
    const bool known = std::any_of(certificates_.begin(), certificates_.end(),
                                   [&](const NamedCertificate& one) { return one.blob == blob; });
    const auto parsed = parse_certificate(blob);
    if (known || !parsed) return;
    if (now() >= parsed->valid_before || now() < parsed->valid_after) {
      label += " (" + describe_validity(*parsed, now()) + ")";
    }
    certificates_.push_back({std::move(label), blob, parsed->key});
  }

  void add_certificate(const NamedCertificate& certificate) {
    for (const ByteVector* blob : {&certificate.blob, &certificate.key}) {
      if (!has(agent_, *blob)) continue;
      keys_.push_back({certificate.path, certificate.blob, *blob, std::nullopt});
      return;
    }
    for (const KeyFile& file : files_) {
      const bool signs = file.format != KeyFile::Format::public_only &&
                         (file.public_blob == certificate.key ||
                          (file.public_blob.empty() && file.certificate == certificate.blob));
      if (!signs) continue;
      keys_.push_back({certificate.path, certificate.blob, {}, file});
      return;
    }
    remarks_.push_back(certificate.path + " (no private key for it)");
  }

  bool named(const AgentKey& key) const {
    return std::any_of(files_.begin(), files_.end(),
                       [&](const KeyFile& file) { return file.public_blob == key.blob; });
  }
  /// A certificate that the agent holds for a key that is named.
  bool named_by_certificate(const AgentKey& key) const {
    const auto parsed = parse_certificate(key.blob);
    return parsed && named({parsed->key, {}});
  }

  void add_agent_keys() {
    const auto first = std::stable_partition(
        agent_.begin(), agent_.end(),
        [&](const AgentKey& key) { return named(key) || named_by_certificate(key); });
    const auto end = sources_.named_only ? first : agent_.end();
    for (auto key = agent_.begin(); key != end; ++key) {
      const bool offered = std::any_of(keys_.begin(), keys_.end(), [&](const CandidateKey& other) {
        return other.blob == key->blob;
      });
      if (offered) continue;
      keys_.push_back({"agent key " + describe_key(key->blob), key->blob, key->blob, std::nullopt});
    }
  }

  void add_files() {
    for (const KeyFile& file : files_) {
      if (has(agent_, file.public_blob)) continue;
      if (file.format == KeyFile::Format::public_only) {
        remarks_.push_back(display_path(file.path) + " (the agent does not have it)");
      } else {
        keys_.push_back({display_path(file.path), file.public_blob, {}, file});
      }
    }
  }

  std::vector<AgentKey> agent_;
  const KeySources& sources_;
  std::vector<std::string>& remarks_;
  std::vector<KeyFile> files_;
  std::vector<NamedCertificate> certificates_;
  std::vector<CandidateKey> keys_;
};

}  // namespace

std::vector<CandidateKey> order_keys(std::vector<AgentKey> agent, const KeySources& sources,
                                     std::vector<std::string>& remarks) {
  return Collector(std::move(agent), sources, remarks).collect();
}

}  // namespace tunproxy::ssh
