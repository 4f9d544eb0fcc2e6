/**
 * @file tunproxy.h
 * tunproxy as a library: a machine's, or an app's, TCP and UDP through an SSH account or a SOCKS5 server.
 *
 * An instance (tunproxy_tunnel) runs in a thread of its own, from tunproxy_start_…() to tunproxy_stop(). Several may
 * run in one process, up to TUNPROXY_MAX_INSTANCES. The library installs no signal handlers, writes to no standard
 * stream, changes no setting of the process and keeps no state between instances.
 *
 * **Threads.** All functions may be called from any thread, but tunproxy_destroy() not at the same time as another
 * call with the same instance. Callbacks come from threads of the library, and those of one instance may come at the
 * same time as each other; none comes after tunproxy_destroy() returned.
 *
 * **Errors.** Functions that can fail return TUNPROXY_OK or another tunproxy_result; tunproxy_error_text() says
 * what was wrong, and what to do.
 *
 * **Memory.** What is handed in is copied unless a function says otherwise; what a callback gets is valid until it
 * returns.
 *
 * **Versions.** Structs that may grow begin with their size, which the program sets to `sizeof`; enumerations may
 * get more values.
 */
#ifndef TUNPROXY_H
#define TUNPROXY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(TUNPROXY_BUILDING)
#define TUNPROXY_API __attribute__((visibility("default")))
#else
#define TUNPROXY_API
#endif

/** The binary interface that this header describes; see tunproxy_abi_version(). @since 0.2 */
#define TUNPROXY_ABI_VERSION 1

/** Instances that may run in a process at the same time. @since 0.2 */
#define TUNPROXY_MAX_INSTANCES 16

/** One tunnel. @since 0.2 */
typedef struct tunproxy_tunnel tunproxy_tunnel;

/** What became of a call. @since 0.2 */
typedef enum tunproxy_result {
  TUNPROXY_OK = 0,
  TUNPROXY_ERROR_ARGUMENT = 1,       /**< a null pointer, an unknown size, a bad value */
  TUNPROXY_ERROR_CONFIG = 2,         /**< the configuration; the text names the key */
  TUNPROXY_ERROR_STATE = 3,          /**< not while it runs, or only while it runs */
  TUNPROXY_ERROR_CALLBACK = 4,       /**< not from within a callback */
  TUNPROXY_ERROR_LIMIT = 5,          /**< too many instances, or no memory or threads */
  TUNPROXY_ERROR_TIMEOUT = 6,        /**< did not end in time; it still ends */
  TUNPROXY_ERROR_HOST_KEY = 7,       /**< the server's key is refused */
  TUNPROXY_ERROR_AUTHENTICATION = 8, /**< the server refuses the login */
  TUNPROXY_ERROR_UNREACHABLE = 9,    /**< the server cannot be reached */
  TUNPROXY_ERROR_PERMISSION = 10,    /**< the system or a callback refused */
  TUNPROXY_ERROR_PROTOCOL = 11,      /**< what answers there is no such server */
  TUNPROXY_ERROR_DEVICE = 12,        /**< the packet device is gone */
  TUNPROXY_ERROR_OTHER = 13          /**< see the text */
} tunproxy_result;

/** Where an instance stands. @since 0.2 */
typedef enum tunproxy_state {
  TUNPROXY_IDLE = 0,           /**< created, not started */
  TUNPROXY_CONNECTING = 1,     /**< on the way to the server */
  TUNPROXY_AUTHENTICATING = 2, /**< host key and login */
  TUNPROXY_ONLINE = 3,         /**< traffic flows */
  TUNPROXY_RECONNECTING = 4,   /**< the connection is lost; traffic waits or is refused, and never goes round */
  TUNPROXY_STOPPED = 5,        /**< by tunproxy_stop() */
  TUNPROXY_FAILED = 6          /**< for good: the reason is given; still to be stopped */
} tunproxy_state;

/** Log levels, as in the configuration key `log-level`. @since 0.2 */
typedef enum tunproxy_log_level {
  TUNPROXY_LOG_TRACE = 0,
  TUNPROXY_LOG_DEBUG = 1, /**< from here down lines may say where people go */
  TUNPROXY_LOG_INFO = 2,
  TUNPROXY_LOG_WARN = 3,
  TUNPROXY_LOG_ERROR = 4
} tunproxy_log_level;

/** One IP packet, from its IP header on. @since 0.2 */
typedef struct tunproxy_packet {
  const uint8_t *data;
  size_t length; /**< bytes */
} tunproxy_packet;

/** A question of `verify_host_key` or `ask`, for tunproxy_answer(). No number comes twice in a process. @since 0.2 */
typedef uint64_t tunproxy_question;

/** A server's key that is not known yet. @since 0.2 */
typedef struct tunproxy_host_key {
  size_t size;
  const char *host;        /**< as it is written in a known_hosts file: `host` or `[host]:port` */
  const char *type;        /**< "ssh-ed25519" … */
  const char *fingerprint; /**< "SHA256:…", as OpenSSH shows it */
  const char *line;        /**< to be kept and handed in as `known-host`: "host ssh-ed25519 AAAA…" */
} tunproxy_host_key;

/** Room for the addresses of a name. @since 0.2 */
typedef struct tunproxy_addresses {
  size_t size;
  size_t count; /**< filled in; at most TUNPROXY_MAX_ADDRESSES */
  char text[16][46]; /**< "192.0.2.1", "2001:db8::1" */
} tunproxy_addresses;

/** Of tunproxy_addresses. @since 0.2 */
#define TUNPROXY_MAX_ADDRESSES 16

/** The five-tuple of a flow of the packet device. @since 0.2 */
typedef struct tunproxy_flow_key {
  size_t size;
  int protocol;               /**< 6 TCP, 17 UDP */
  const char *local_address;  /**< of the app that made it */
  uint16_t local_port;
  const char *remote_address; /**< of UDP, where the port's first datagram goes */
  uint16_t remote_port;
} tunproxy_flow_key;

/**
 * What the program supplies. Each may be NULL but for what is said. No callback may call tunproxy_stop() or
 * tunproxy_destroy() for its own instance (TUNPROXY_ERROR_CALLBACK); all else is allowed. A callback that throws or
 * jumps out is undefined behaviour; one that blocks holds up the thread that is named. @since 0.2
 */
typedef struct tunproxy_callbacks {
  size_t size; /**< sizeof(tunproxy_callbacks) */
  void *user;  /**< handed to each callback */

  /**
   * Called for every outer socket, between socket() and connect(), in the instance's thread: Android's
   * VpnService.protect(). Returns 0, or anything else to refuse: the socket is closed then.
   */
  int (*protect_socket)(void *user, int fd);
  /** A line for people, without a newline. From any thread of the library. NULL: nothing is logged. */
  void (*log)(void *user, tunproxy_log_level level, const char *line);
  /**
   * The state changed; in the instance's thread. `reason` is TUNPROXY_OK, or with `text` what ended the last
   * connection (TUNPROXY_RECONNECTING) or everything (TUNPROXY_FAILED).
   */
  void (*state)(void *user, tunproxy_state state, tunproxy_result reason, const char *text);
  /**
   * The server shows a key that no known_hosts file has. To be answered by tunproxy_answer() with "yes" or
   * tunproxy_refuse(), now or later, from any thread. NULL, or a `host-key-policy` other than `ask`: unknown keys are
   * refused, or accepted once and remembered (`accept-new`): in the first file of `known-hosts`, or until the tunnel
   * stops where there is none that can be written. Programs that keep keys themselves hand them in as `known-host`. A
   * changed key is always refused. From a thread of its own, which may block.
   */
  void (*verify_host_key)(void *user, tunproxy_question question, const tunproxy_host_key *key);
  /**
   * The server asks the user: a password, a passphrase, a code. `echo` is 0 for secrets. To be answered by
   * tunproxy_answer() or tunproxy_refuse(), as above. NULL: there is nobody to ask.
   */
  void (*ask)(void *user, tunproxy_question question, const char *prompt, int echo);
  /**
   * Looks up a name that is needed before there is a tunnel (the server's). Returns 0 and fills `addresses`, or
   * anything else. From a thread of its own, which may block. NULL: the system's resolver is asked.
   */
  int (*resolve)(void *user, const char *name, tunproxy_addresses *addresses);
  /**
   * Packets for the device; REQUIRED by tunproxy_start_packets(). In the instance's thread; it must not block for
   * long. Packets that the device has no room for are to be dropped.
   */
  void (*write_packets)(void *user, const tunproxy_packet *packets, size_t count);
  /**
   * Who made a flow (Android: getConnectionOwnerUid()), for tunproxy_flows(); -1: unknown. In the instance's thread
   * and once a flow.
   */
  int32_t (*flow_owner)(void *user, const tunproxy_flow_key *key);
} tunproxy_callbacks;

/** Counters since the start. @since 0.2 */
typedef struct tunproxy_stats {
  size_t size; /**< sizeof(tunproxy_stats); set by the program */
  tunproxy_state state;
  uint32_t sessions;       /**< SSH connections now */
  uint32_t tcp_flows;      /**< open now */
  uint32_t udp_flows;      /**< associations open now */
  uint64_t flows;          /**< TCP flows and UDP associations so far */
  uint64_t refused;        /**< of them refused by rules */
  uint64_t bytes_up;       /**< payload of all flows */
  uint64_t bytes_down;
  uint64_t packets_in;     /**< from the device */
  uint64_t packets_out;    /**< to the device */
  uint64_t packets_dropped; /**< malformed, or without room */
  uint64_t reconnects;
} tunproxy_stats;

/** One open flow. @since 0.2 */
typedef struct tunproxy_flow {
  size_t size;
  uint64_t id;
  int protocol;        /**< 6 TCP, 17 UDP */
  int32_t owner;       /**< of `flow_owner`; -1: unknown */
  uint64_t age_ms;
  uint64_t bytes_up;
  uint64_t bytes_down;
  char source[64];     /**< "192.0.2.1:4711" */
  char target[280];    /**< "host:port"; "" for UDP */
} tunproxy_flow;

/** How hard the system is pressed for memory. @since 0.2 */
typedef enum tunproxy_pressure {
  TUNPROXY_PRESSURE_NONE = 0,     /**< back to normal */
  TUNPROXY_PRESSURE_MODERATE = 1, /**< windows shrink */
  TUNPROXY_PRESSURE_CRITICAL = 2  /**< and idle associations end */
} tunproxy_pressure;

/** The version of the library: "0.2.0". Static. @since 0.2 */
TUNPROXY_API const char *tunproxy_version(void);

/** The TUNPROXY_ABI_VERSION that the library was built with. Higher ones stay compatible. @since 0.2 */
TUNPROXY_API uint32_t tunproxy_abi_version(void);

/** A result in words. Static; never NULL. @since 0.2 */
TUNPROXY_API const char *tunproxy_strerror(int result);

/**
 * What was wrong with the last call that failed in this thread, and what to do. Valid until the next call in this
 * thread; never NULL; "" if there was none. @since 0.2
 */
TUNPROXY_API const char *tunproxy_error_text(void);

/**
 * Makes an instance.
 * @param callbacks copied; NULL: none
 * @param[out] instance to be ended by tunproxy_destroy()
 * @return TUNPROXY_ERROR_ARGUMENT, TUNPROXY_ERROR_LIMIT
 * @since 0.2
 */
TUNPROXY_API int tunproxy_create(const tunproxy_callbacks *callbacks, tunproxy_tunnel **instance);

/**
 * Sets one key of the configuration (docs/configuration.md), such as `ssh` to `user@host`; a list gets one more
 * value. Not while it runs.
 * @return TUNPROXY_ERROR_CONFIG: the text names the key; TUNPROXY_ERROR_STATE
 * @since 0.2
 */
TUNPROXY_API int tunproxy_set(tunproxy_tunnel *instance, const char *key, const char *value);

/**
 * Sets a secret: `ssh-password`, `passphrase`, `private-key` (as in a key file; one more each time), `via-password`,
 * `socks5-password`. It is copied to memory that is wiped after use and is never logged; the caller
 * wipes his own. Not while it runs.
 * @return TUNPROXY_ERROR_CONFIG, TUNPROXY_ERROR_STATE
 * @since 0.2
 */
TUNPROXY_API int tunproxy_set_secret(tunproxy_tunnel *instance, const char *key, const void *bytes, size_t length);

/**
 * Sets all the keys of a TOML text. Either all are taken or none. Not while it runs.
 * @return TUNPROXY_ERROR_CONFIG: the text names line and key; TUNPROXY_ERROR_STATE
 * @since 0.2
 */
TUNPROXY_API int tunproxy_set_toml(tunproxy_tunnel *instance, const char *text);

/**
 * Runs over a TUN descriptor, without packet information (IFF_NO_PI) and without IFF_VNET_HDR. Returns as soon as the
 * thread runs; `state` tells what becomes of it.
 * @param fd taken on success, and closed at the end; the caller's on failure. It is made non-blocking.
 * @param mtu of the interface, 1280 … 65535
 * @return TUNPROXY_ERROR_ARGUMENT, TUNPROXY_ERROR_CONFIG, TUNPROXY_ERROR_STATE, TUNPROXY_ERROR_LIMIT
 * @since 0.2
 */
TUNPROXY_API int tunproxy_start_fd(tunproxy_tunnel *instance, int fd, uint16_t mtu);

/**
 * Runs with packets that the program moves itself, by tunproxy_push_packets() and `write_packets`.
 * @return as tunproxy_start_fd(); TUNPROXY_ERROR_ARGUMENT without `write_packets`
 * @since 0.2
 */
TUNPROXY_API int tunproxy_start_packets(tunproxy_tunnel *instance, uint16_t mtu);

/**
 * Runs without a device: the listener of the key `socks` alone.
 * @return as tunproxy_start_fd()
 * @since 0.2
 */
TUNPROXY_API int tunproxy_start_proxy(tunproxy_tunnel *instance);

/**
 * Hands packets of the device in. They are copied.
 * @param[out] taken how many, from the first on; fewer than `count`: the queue is full, and the rest is to be
 *             offered again after a moment, or dropped. May be NULL.
 * @return TUNPROXY_ERROR_STATE unless it runs in packet mode
 * @since 0.2
 */
TUNPROXY_API int tunproxy_push_packets(tunproxy_tunnel *instance, const tunproxy_packet *packets, size_t count,
                                       size_t *taken);

/**
 * Answers a question. Each can be answered once.
 * @return TUNPROXY_ERROR_ARGUMENT: nobody waits for this one (any more)
 * @since 0.2
 */
TUNPROXY_API int tunproxy_answer(tunproxy_tunnel *instance, tunproxy_question question, const char *answer);

/** Refuses to answer: the login goes on without, or fails. As tunproxy_answer(). @since 0.2 */
TUNPROXY_API int tunproxy_refuse(tunproxy_tunnel *instance, tunproxy_question question);

/**
 * The network below changed, or may have: connections are checked at once, and made again where they are dead.
 * @return TUNPROXY_ERROR_STATE unless it runs
 * @since 0.2
 */
TUNPROXY_API int tunproxy_network_changed(tunproxy_tunnel *instance);

/**
 * The device is about to sleep: no probes are sent and nothing is given up until tunproxy_wake().
 * @return TUNPROXY_ERROR_STATE unless it runs
 * @since 0.2
 */
TUNPROXY_API int tunproxy_pause(tunproxy_tunnel *instance);

/** The device woke up; goes on as after tunproxy_network_changed(). @since 0.2 */
TUNPROXY_API int tunproxy_wake(tunproxy_tunnel *instance);

/** Uses less memory until it is told TUNPROXY_PRESSURE_NONE. @since 0.2 */
TUNPROXY_API int tunproxy_memory_pressure(tunproxy_tunnel *instance, tunproxy_pressure pressure);

/**
 * Reads the files of rules, users and certificates again. A bad one keeps what there was. Flows go on.
 * @return TUNPROXY_ERROR_CONFIG: the text names the file and the line
 * @since 0.2
 */
TUNPROXY_API int tunproxy_reload(tunproxy_tunnel *instance);

/**
 * Fills `stats` as far as its size goes.
 * @return TUNPROXY_ERROR_ARGUMENT
 * @since 0.2
 */
TUNPROXY_API int tunproxy_get_stats(tunproxy_tunnel *instance, tunproxy_stats *stats);

/**
 * Lists open flows.
 * @param flows an array; the `size` of its first element is the size of each
 * @param capacity elements that it has room for
 * @param[out] count how many there are, which may be more than `capacity`
 * @return TUNPROXY_ERROR_ARGUMENT
 * @since 0.2
 */
TUNPROXY_API int tunproxy_get_flows(tunproxy_tunnel *instance, tunproxy_flow *flows, size_t capacity, size_t *count);

/**
 * Stops and waits for the end. Idempotent; afterwards it may be configured and started again.
 * @param timeout_ms how long to wait; a second is plenty
 * @return TUNPROXY_ERROR_CALLBACK, TUNPROXY_ERROR_TIMEOUT (a callback blocks; call again)
 * @since 0.2
 */
TUNPROXY_API int tunproxy_stop(tunproxy_tunnel *instance, uint32_t timeout_ms);

/**
 * Stops, however long that takes, and ends the instance. NULL is allowed.
 * @return TUNPROXY_ERROR_CALLBACK: nothing happened
 * @since 0.2
 */
TUNPROXY_API int tunproxy_destroy(tunproxy_tunnel *instance);

#ifdef __cplusplus
}
#endif

#endif
