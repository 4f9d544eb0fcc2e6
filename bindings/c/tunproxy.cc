#include "bindings/c/tunproxy.h"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "bindings/c/instance.h"
#include "bindings/c/listing.h"
#include "core/config_schema.h"
#include "core/config_toml.h"

struct tunproxy_tunnel {
  explicit tunproxy_tunnel(const tunproxy_callbacks& callbacks) : instance(callbacks) {}
  tunproxy::c_api::Instance instance;
};

namespace tunproxy::c_api {
namespace {

constexpr size_t kSmallestCallbacks = offsetof(tunproxy_callbacks, protect_socket);
constexpr size_t kSmallestStats = offsetof(tunproxy_stats, sessions);
constexpr size_t kSmallestFlow = offsetof(tunproxy_flow, protocol);

std::atomic<int> instances = 0;
thread_local std::string error_text;

int report(Outcome outcome) {
  if (!outcome) return TUNPROXY_OK;
  error_text = std::move(outcome->text);
  return outcome->code;
}

int wrong_argument(const char* what) {
  return report(Failure{TUNPROXY_ERROR_ARGUMENT, what});
}

// Nothing of C++ leaves through a C function.
template <typename Function>
int guarded(Function function) {
  try {
    return report(function());
  } catch (const std::bad_alloc&) {
    return report(Failure{TUNPROXY_ERROR_LIMIT, "out of memory"});
  } catch (const std::exception& error) {
    return report(Failure{TUNPROXY_ERROR_OTHER, error.what()});
  }
}

template <typename Function>
int with(tunproxy_tunnel* tunnel, Function function) {
  if (tunnel == nullptr) return wrong_argument("the instance is a null pointer");
  return guarded([&] { return function(tunnel->instance); });
}

Outcome bad_mtu() {
  return Failure{TUNPROXY_ERROR_ARGUMENT, "mtu: 1280 to 65535"};
}

}  // namespace
}  // namespace tunproxy::c_api

using tunproxy::Config;
using tunproxy::Tunnel;
using namespace tunproxy::c_api;  // NOLINT(google-build-using-namespace): these are its functions

const char* tunproxy_version(void) {
  return TUNPROXY_VERSION;
}

uint32_t tunproxy_abi_version(void) {
  return TUNPROXY_ABI_VERSION;
}

const char* tunproxy_strerror(int result) {
  switch (result) {
    case TUNPROXY_OK:
      return "success";
    case TUNPROXY_ERROR_ARGUMENT:
      return "bad argument";
    case TUNPROXY_ERROR_CONFIG:
      return "error in the configuration";
    case TUNPROXY_ERROR_STATE:
      return "not in this state";
    case TUNPROXY_ERROR_CALLBACK:
      return "not from within a callback";
    case TUNPROXY_ERROR_LIMIT:
      return "a limit is reached";
    case TUNPROXY_ERROR_TIMEOUT:
      return "timed out";
    case TUNPROXY_ERROR_HOST_KEY:
      return "host key refused";
    case TUNPROXY_ERROR_AUTHENTICATION:
      return "authentication failed";
    case TUNPROXY_ERROR_UNREACHABLE:
      return "cannot reach the server";
    case TUNPROXY_ERROR_PERMISSION:
      return "no permission";
    case TUNPROXY_ERROR_PROTOCOL:
      return "protocol error";
    case TUNPROXY_ERROR_DEVICE:
      return "the packet device is gone";
    case TUNPROXY_ERROR_OTHER:
      return "failed";
    default:
      return "unknown result";
  }
}

const char* tunproxy_error_text(void) {
  return error_text.c_str();
}

int tunproxy_create(const tunproxy_callbacks* callbacks, tunproxy_tunnel** instance) {
  if (instance == nullptr) return wrong_argument("there is no place for the instance");
  *instance = nullptr;
  tunproxy_callbacks copy{};
  if (callbacks != nullptr) {
    if (callbacks->size < kSmallestCallbacks) return wrong_argument("callbacks: size is not set");
    std::memcpy(&copy, callbacks, std::min(callbacks->size, sizeof copy));
  }
  return guarded([&]() -> Outcome {
    if (++instances > TUNPROXY_MAX_INSTANCES) {
      --instances;
      return Failure{TUNPROXY_ERROR_LIMIT, "there are too many instances"};
    }
    try {
      *instance = new tunproxy_tunnel(copy);
    } catch (...) {
      --instances;
      throw;
    }
    return std::nullopt;
  });
}

int tunproxy_set(tunproxy_tunnel* instance, const char* key, const char* value) {
  if (key == nullptr || value == nullptr) return wrong_argument("key or value is a null pointer");
  // The default of an instance, as its constructor has it.
  if (*value == '\0' && std::string_view(key) == "ssh-config") value = "none";
  return with(instance, [&](Instance& self) {
    return self.configure([&](Config& config) { return tunproxy::set(config, key, value); });
  });
}

int tunproxy_set_secret(tunproxy_tunnel* instance, const char* key, const void* bytes,
                        size_t length) {
  if (key == nullptr || bytes == nullptr) return wrong_argument("key or secret is a null pointer");
  return with(instance, [&](Instance& self) -> Outcome {
    const tunproxy::Setting* setting = tunproxy::find_setting(key);
    if (setting == nullptr || !setting->secret) {
      return Failure{TUNPROXY_ERROR_CONFIG, std::string(key) + " is no secret: see tunproxy_set()"};
    }
    return self.configure([&](Config& config) {
      return tunproxy::set(config, *setting, {static_cast<const char*>(bytes), length});
    });
  });
}

int tunproxy_set_toml(tunproxy_tunnel* instance, const char* text) {
  if (text == nullptr) return wrong_argument("the text is a null pointer");
  return with(instance, [&](Instance& self) {
    return self.configure(
        [&](Config& config) { return tunproxy::merge_toml(config, text, "configuration"); });
  });
}

int tunproxy_start_fd(tunproxy_tunnel* instance, int fd, uint16_t mtu) {
  struct stat kind {};
  if (::fstat(fd, &kind) != 0) return wrong_argument("fd is no open descriptor");
  if (!S_ISCHR(kind.st_mode) && !S_ISSOCK(kind.st_mode)) {
    return wrong_argument("fd is no packet device");
  }
  return with(instance, [&](Instance& self) {
    if (mtu < Config::kSmallestMtu) return bad_mtu();
    return self.start(Device::Kind::fd, fd, mtu);
  });
}

int tunproxy_start_packets(tunproxy_tunnel* instance, uint16_t mtu) {
  return with(instance, [&](Instance& self) -> Outcome {
    if (mtu < Config::kSmallestMtu) return bad_mtu();
    if (self.callbacks().write_packets == nullptr) {
      return Failure{TUNPROXY_ERROR_ARGUMENT, "there is no callback write_packets"};
    }
    return self.start(Device::Kind::packets, -1, mtu);
  });
}

int tunproxy_start_proxy(tunproxy_tunnel* instance) {
  return with(instance, [&](Instance& self) { return self.start(Device::Kind::none, -1, 0); });
}

int tunproxy_push_packets(tunproxy_tunnel* instance, const tunproxy_packet* packets, size_t count,
                          size_t* taken) {
  if (packets == nullptr && count > 0) return wrong_argument("the packets are a null pointer");
  return with(instance, [&](Instance& self) { return self.push(packets, count, taken); });
}

int tunproxy_answer(tunproxy_tunnel* instance, tunproxy_question question, const char* answer) {
  if (answer == nullptr) return wrong_argument("the answer is a null pointer");
  return with(instance,
              [&](Instance& self) { return self.answer(question, tunproxy::Secret(answer)); });
}

int tunproxy_refuse(tunproxy_tunnel* instance, tunproxy_question question) {
  return with(instance, [&](Instance& self) { return self.answer(question, std::nullopt); });
}

int tunproxy_network_changed(tunproxy_tunnel* instance) {
  return with(instance, [](Instance& self) {
    return self.tell([](Tunnel& tunnel) { tunnel.network_changed(); });
  });
}

int tunproxy_pause(tunproxy_tunnel* instance) {
  return with(instance,
              [](Instance& self) { return self.tell([](Tunnel& tunnel) { tunnel.pause(); }); });
}

int tunproxy_wake(tunproxy_tunnel* instance) {
  return with(instance,
              [](Instance& self) { return self.tell([](Tunnel& tunnel) { tunnel.wake(); }); });
}

int tunproxy_memory_pressure(tunproxy_tunnel* instance, tunproxy_pressure pressure) {
  unsigned level = 0;  // C's enumerations may have any value
  static_assert(sizeof level == sizeof pressure);
  std::memcpy(&level, &pressure, sizeof level);
  if (level > TUNPROXY_PRESSURE_CRITICAL) return wrong_argument("there is no such pressure");
  return with(instance, [&](Instance& self) {
    return self.tell([level](Tunnel& tunnel) {
      tunnel.memory_pressure(static_cast<tunproxy::MemoryPressure>(level));
    });
  });
}

int tunproxy_reload(tunproxy_tunnel* instance) {
  return with(instance, [](Instance& self) -> Outcome {
    if (self.in_own_thread()) {
      return Failure{TUNPROXY_ERROR_CALLBACK, "not from a callback in the instance's thread"};
    }
    tunproxy::Result<void> reloaded;
    Outcome asked = self.ask([&](Tunnel& tunnel) { reloaded = tunnel.reload(); });
    if (!asked && !reloaded) asked = Failure{TUNPROXY_ERROR_CONFIG, reloaded.error().message};
    return asked;
  });
}

int tunproxy_get_stats(tunproxy_tunnel* instance, tunproxy_stats* stats) {
  if (stats == nullptr || stats->size < kSmallestStats) {
    return wrong_argument("stats: size is not set");
  }
  return with(instance, [&](Instance& self) -> Outcome {
    fill(self, *stats);
    return std::nullopt;
  });
}

int tunproxy_get_flows(tunproxy_tunnel* instance, tunproxy_flow* flows, size_t capacity,
                       size_t* count) {
  if (count == nullptr) return wrong_argument("there is no place for the count");
  if (capacity > 0 && (flows == nullptr || flows->size < kSmallestFlow)) {
    return wrong_argument("flows: size is not set");
  }
  return with(instance, [&](Instance& self) -> Outcome {
    *count = fill(self, flows, capacity);
    return std::nullopt;
  });
}

int tunproxy_stop(tunproxy_tunnel* instance, uint32_t timeout_ms) {
  return with(instance, [&](Instance& self) { return self.stop(tunproxy::Duration(timeout_ms)); });
}

int tunproxy_destroy(tunproxy_tunnel* instance) {
  if (instance == nullptr) return TUNPROXY_OK;
  if (instance->instance.in_callback()) {
    return report(Failure{TUNPROXY_ERROR_CALLBACK, "an instance cannot end from its own callback"});
  }
  delete instance;
  --instances;
  return TUNPROXY_OK;
}
