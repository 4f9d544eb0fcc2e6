#include "tests/support/sshd.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <vector>

#include "core/base/unique_fd.h"

namespace tunproxy::testing {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSshd = "/usr/sbin/sshd";

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// Holds a port, so that nobody else is given it, but for those who ask for it by its number.
UniqueFd reserve_port() {
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int yes = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const sockaddr_in address = loopback(0);
  ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  return socket;
}

uint16_t port_of(const UniqueFd& socket) {
  sockaddr_in address{};
  socklen_t length = sizeof address;
  ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length);
  return ntohs(address.sin_port);
}

pid_t run(const std::vector<std::string>& arguments, const fs::path& output) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // should the test die without a destructor
  const int log = ::open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  ::dup2(log, 1);
  ::dup2(log, 2);
  std::vector<char*> argv;
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

// Field 4 of /proc/PID/stat; the name before it may hold anything.
pid_t parent_of(const fs::path& process) {
  std::ifstream file(process / "stat");
  std::string text;
  std::getline(file, text,
               '\0');  // nothing of a process that ends just now, where an iterator throws
  const size_t end_of_name = text.rfind(')');
  if (end_of_name == std::string::npos) return -1;
  return static_cast<pid_t>(std::stol(text.substr(end_of_name + 4)));
}

std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> children;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (parent_of(entry.path()) == parent) children.push_back(static_cast<pid_t>(std::stol(name)));
  }
  return children;
}

void signal_tree(pid_t root, int number) {
  for (const pid_t child : children_of(root)) signal_tree(child, number);
  ::kill(root, number);
}

std::vector<std::string> sockets_of(pid_t process) {
  std::vector<std::string> inodes;
  std::error_code gone;
  for (const auto& entry :
       fs::directory_iterator(fs::path("/proc") / std::to_string(process) / "fd", gone)) {
    const std::string target = fs::read_symlink(entry.path(), gone).string();
    if (target.starts_with("socket:[")) inodes.push_back(target.substr(8, target.size() - 9));
  }
  return inodes;
}

// A line of /proc/net/tcp: number, local and remote address in hexadecimal, state …, inode.
Endpoint listening_at(std::istringstream line, const std::vector<std::string>& inodes) {
  std::vector<std::string> words{std::istream_iterator<std::string>(line), {}};
  constexpr size_t kLocal = 1, kState = 3, kInode = 9;
  if (words.size() <= kInode || words[kState] != "0A") return {};
  if (std::find(inodes.begin(), inodes.end(), words[kInode]) == inodes.end()) return {};
  const auto address = static_cast<uint32_t>(std::stoul(words[kLocal].substr(0, 8), nullptr, 16));
  const auto port = static_cast<uint16_t>(std::stoul(words[kLocal].substr(9), nullptr, 16));
  return {IpAddress::v4(reinterpret_cast<const uint8_t*>(&address)), port};
}

std::vector<Endpoint> forwards_below(pid_t parent) {
  std::vector<Endpoint> found;
  for (const pid_t child : children_of(parent)) {
    found = forwards_below(child);
    const std::vector<std::string> inodes = sockets_of(child);
    std::ifstream table("/proc/net/tcp");
    for (std::string line; std::getline(table, line);) {
      const Endpoint at = listening_at(std::istringstream(line), inodes);
      if (at.port != 0) found.push_back(at);
    }
  }
  return found;
}

}  // namespace

Sshd::Sshd(const std::string& config) : reserved_(reserve_port()), port_(port_of(reserved_)) {
  std::string pattern = (fs::temp_directory_path() / "tunproxy-sshd-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
  directory_ = pattern;
  const passwd* entry = ::getpwuid(::geteuid());
  user_ = entry != nullptr ? entry->pw_name : "root";
  if (::geteuid() == 0) ::mkdir("/run/sshd", 0755);
  generate_key("host_key", "ed25519");
  generate_key("identity", "ed25519");
  fs::copy_file(directory_ / "identity.pub", directory_ / "authorized_keys");
  write_config(config);
  start();
}

Sshd::~Sshd() {
  kill();
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
}

void Sshd::generate_key(const char* name, const char* type) const {
  const std::string file = directory_ / name;
  const pid_t pid = run({"/usr/bin/ssh-keygen", "-q", "-t", type, "-N", "", "-f", file},
                        directory_ / "keygen.log");
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (status != 0) throw std::runtime_error("ssh-keygen failed");
}

void Sshd::write_config(const std::string& config) const {
  std::ofstream file(directory_ / "sshd_config");
  file << config << "\nListenAddress 127.0.0.1\nPort " << port_ << "\nHostKey "
       << (directory_ / "host_key").string() << "\nAuthorizedKeysFile "
       << (directory_ / "authorized_keys").string()
       << "\nSetEnv HOME=" << directory_.string()  // no start-up files of the user's
       << "\nPidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\n"
          "PasswordAuthentication no\nMaxStartups 100\nUseDNS no\nLogLevel ERROR\n";
}

void Sshd::start() {
  pid_ = run({kSshd, "-D", "-e", "-f", directory_ / "sshd_config"}, directory_ / "sshd.log");
  wait_until_it_listens();
}

void Sshd::wait_until_it_listens() const {
  const sockaddr_in address = loopback(port_);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (std::chrono::steady_clock::now() < deadline) {
    if (::waitpid(pid_, nullptr, WNOHANG) == pid_) break;
    const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  std::ifstream log(directory_ / "sshd.log");
  throw std::runtime_error("sshd does not listen: " +
                           std::string{std::istreambuf_iterator<char>(log), {}});
}

void Sshd::signal(int number) const {
  signal_tree(pid_, number);
}

std::vector<Endpoint> Sshd::forwards() const {
  return forwards_below(pid_);
}

void Sshd::kill() {
  if (pid_ <= 0) return;
  signal(SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void Sshd::signal_connections(int number) const {
  for (const pid_t connection : children_of(pid_)) signal_tree(connection, number);
}

}  // namespace tunproxy::testing
