// The known_hosts files of OpenSSH (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"): reading, looking up,
// adding.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"

namespace tunproxy::ssh {

/// One line that holds a key.
struct KnownHost {
  enum class Marker : uint8_t { none, cert_authority, revoked };

  Marker marker = Marker::none;
  std::string names;  ///< the first field: patterns, or one hashed name
  std::string type;
  ByteVector blob;
  std::string file;   ///< empty: it is in none
  unsigned line = 0;  ///< of the file, or else of the configuration's known-host; 0: of neither

  bool hashed() const { return names.starts_with("|1|"); }
  /// `name` is lower-case, as known_hosts_name() makes it.
  bool matches(std::string_view name) const;
  std::string where() const;  ///< for people: "file:line", or what there is instead
};

/// "host" for port 22, "[host]:port" otherwise; lower-case.
std::string known_hosts_name(std::string_view host, uint16_t port);

/// The names under which a server is looked up.
struct HostName {
  std::string name;  ///< of known_hosts_name(), or the alias
  std::string bare;  ///< without the port: for certificates, and when `name` is not known

  /// `alias` stands for host and port, if not empty.
  HostName(std::string_view host, uint16_t port, std::string_view alias = {});
};

/// The key of a line; an Error says why it has none. `line` holds neither comment nor white space
/// alone.
Result<KnownHost> parse_known_host(std::string_view line);
/// Does a comma-separated list of patterns (* ? and ! to negate) include `name`?
bool matches_patterns(std::string_view patterns, std::string_view name);

/// What is known, from all files; a snapshot.
class KnownHosts {
 public:
  enum class Verdict : uint8_t { match, unknown, changed, revoked };
  struct Finding {
    Verdict verdict = Verdict::unknown;
    /// match, revoked: the line of the key. changed: a line with another key, of the same type if
    /// there is one. Valid as long as the KnownHosts.
    const KnownHost* line = nullptr;
    /// A @cert-authority line that covers the host, if any. Valid as long as the KnownHosts.
    const KnownHost* authority = nullptr;
  };

  /// Files that do not exist count as empty; lines that make no sense are skipped (seen at debug).
  static KnownHosts load(const std::vector<std::string>& files);
  /// The same lines as text: the configuration's known-host.
  void add_lines(const std::vector<std::string>& lines);
  void add(std::vector<KnownHost> keys);

  /// As OpenSSH judges: a key is revoked if any line for the host says so; it matches if a line has
  /// exactly it; it is changed if lines have only others, of whatever type. A key that is not known
  /// for
  /// "[host]:port" may be known for the host itself.
  Finding look_up(const HostName& host, Bytes key) const;
  /// The @cert-authority line that makes `key` an authority for the host, or null. What is revoked
  /// for the host is none.
  const KnownHost* find_authority(const HostName& host, Bytes key) const;
  /// The @revoked line for the key and host, or null.
  const KnownHost* find_revoked(const HostName& host, Bytes key) const;
  /// The same for one name of known_hosts_name().
  Finding look_up_name(std::string_view name, Bytes key) const;
  /// Other names, or "hashed name", under which the key is known, each with its file and line.
  std::vector<std::string> other_names(Bytes key) const;

  /// LIBSSH2_METHOD_HOSTKEY: certificates first where an authority is known for the host (else not
  /// at all), then the types that are known for it, then the others; no SHA-1 signatures. If
  /// `allowed` is not empty, of these only, and otherwise in their order.
  std::string host_key_algorithms(const HostName& host,
                                  const std::vector<std::string>& allowed) const;

  const std::vector<KnownHost>& lines() const { return lines_; }

 private:
  void load_file(const std::string& file);
  void add_line(const std::string& text, const std::string& file, unsigned number);
  template <typename Predicate>
  const KnownHost* find(const HostName& host, Predicate matches) const;

  std::vector<KnownHost> lines_;
};

/// "name type base64", without a newline.
std::string known_host_line(std::string_view name, Bytes key);

/// Appends a line for the key to `file`, unless it is there: in one write at the file's end, so
/// that several processes lose nothing of each other's, and on the disk when this returns. With a
/// hashed name if `hash`, or if the file has hashed names. Makes the file (0600) and its directory
/// (0700) if need be.
Result<void> add_known_host(const std::string& file, std::string_view name, Bytes key, bool hash);

}  // namespace tunproxy::ssh
