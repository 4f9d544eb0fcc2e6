/**
 * @file tunproxy.h
 * tunproxy as a library: a machine's, or an app's, TCP and UDP through an SSH account or a SOCKS5
 * server.
 *
 * An instance (::tunproxy_tunnel) runs in a thread of its own, from tunproxy_start_…() to
 * tunproxy_stop(). Several may run in one process, up to ::TUNPROXY_MAX_INSTANCES. The library
 * installs no signal handlers, writes to no standard stream, changes no setting of the process and
 * keeps no state between instances. What it was not told, it does not take from the environment or
 * from the user's files: see docs/embedding.md.
 *
 * **Threads.** All functions may be called from any thread, but tunproxy_destroy() not at the same
 * time as another call with the same instance. Callbacks come from threads of the library, and
 * those of one instance may come at the same time as each other; none comes after
 * tunproxy_destroy() returned.
 *
 * **Errors.** Functions that can fail return ::TUNPROXY_OK or another ::tunproxy_result;
 * tunproxy_error_text() says what was wrong, and what to do. Any may return
 * ::TUNPROXY_ERROR_ARGUMENT for a null pointer, and ::TUNPROXY_ERROR_LIMIT where there is no
 * memory.
 *
 * **Memory.** What is handed in is copied unless a function says otherwise; what a callback gets is
 * valid until it returns.
 *
 * **Versions.** Structs that may grow begin with their size, which the program sets to `sizeof`;
 * enumerations may get more values.
 */
#ifndef TUNPROXY_H
#define TUNPROXY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** @cond */
#if defined(TUNPROXY_BUILDING)
#define TUNPROXY_API __attribute__((visibility("default")))
#else
#define TUNPROXY_API
#endif
/** @endcond */

/** The binary interface that this header describes; see tunproxy_abi_version(). @since 0.2 */
#define TUNPROXY_ABI_VERSION 1

/** Instances that may exist in a process at the same time. @since 0.2 */
#define TUNPROXY_MAX_INSTANCES 16

/** One tunnel. @since 0.2 */
typedef struct tunproxy_tunnel tunproxy_tunnel;

/** What became of a call. @since 0.2 */
typedef enum tunproxy_result {
  TUNPROXY_OK = 0,                   /**< success */
  TUNPROXY_ERROR_ARGUMENT = 1,       /**< a null pointer, an unknown size, a bad value */
  TUNPROXY_ERROR_CONFIG = 2,         /**< the configuration; the text names the key */
  TUNPROXY_ERROR_STATE = 3,          /**< not while it runs, or only while it runs */
  TUNPROXY_ERROR_CALLBACK = 4,       /**< not from within a callback */
  TUNPROXY_ERROR_LIMIT = 5,          /**< too many instances, or no memory or threads */
  TUNPROXY_ERROR_TIMEOUT = 6,        /**< did not end in time; it still ends */
  TUNPROXY_ERROR_HOST_KEY = 7,       /**< the server's key is refused */
  TUNPROXY_ERROR_AUTHENTICATION = 8, /**< the server refuses the login */
  TUNPROXY_ERROR_UNREACHABLE = 9,    /**< the server cannot be reached */
  TUNPROXY_ERROR_PERMISSION = 10,    /**< the system refused: a port, a file */
  TUNPROXY_ERROR_PROTOCOL = 11,      /**< what answers there is no such server */
  TUNPROXY_ERROR_DEVICE = 12,        /**< the packet device is gone */
  TUNPROXY_ERROR_OTHER = 13          /**< see the text */
} tunproxy_result;

/** Where an instance stands. @since 0.2 */
typedef enum tunproxy_state {
  TUNPROXY_IDLE = 0,           /**< created, not started */
  TUNPROXY_CONNECTING = 1,     /**< on the way to the server */
  TUNPROXY_AUTHENTICATING = 2, /**< host key and login */
  TUNPROXY_ONLINE = 3,         /**< traffic flows, by the device and by the listener */
  TUNPROXY_RECONNECTING = 4,   /**< the connection is lost, or with the key `keep-trying` not there
                                  yet; traffic waits or is refused, and never goes round */
  TUNPROXY_STOPPED = 5,        /**< by tunproxy_stop(): the last word of a run */
  TUNPROXY_FAILED = 6 /**< for good: the reason is given, once; what comes from the device is
                         refused, and the instance is still to be stopped */
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
  const uint8_t* data; /**< its bytes */
  size_t length;       /**< bytes */
} tunproxy_packet;

/** A question of `verify_host_key` or `ask`, for tunproxy_answer(). No number comes twice in a
 * process. @since 0.2 */
typedef uint64_t tunproxy_question;

/** A server's key that is not known yet. @since 0.2 */
typedef struct tunproxy_host_key {
  size_t size;             /**< of the library's struct */
  const char* host;        /**< as it is written in a known_hosts file: `host` or `[host]:port` */
  const char* type;        /**< "ssh-ed25519" … */
  const char* fingerprint; /**< "SHA256:…", as OpenSSH shows it */
  const char* line; /**< to be kept and handed in as `known-host`: "host ssh-ed25519 AAAA…" */
} tunproxy_host_key;

/** Room for the addresses of a name. @since 0.2 */
typedef struct tunproxy_addresses {
  size_t size;       /**< of the library's struct */
  size_t count;      /**< filled in; at most ::TUNPROXY_MAX_ADDRESSES */
  char text[16][46]; /**< "192.0.2.1", "2001:db8::1" */
} tunproxy_addresses;

/** Of ::tunproxy_addresses. @since 0.2 */
#define TUNPROXY_MAX_ADDRESSES 16

/** The five-tuple of a flow of the packet device. @since 0.2 */
typedef struct tunproxy_flow_key {
  size_t size;                /**< of the library's struct */
  int protocol;               /**< 6 TCP, 17 UDP */
  const char* local_address;  /**< of the app that made it */
  uint16_t local_port;        /**< the same */
  const char* remote_address; /**< of UDP, where the port's first datagram goes */
  uint16_t remote_port;       /**< the same */
} tunproxy_flow_key;

/**
 * What the program supplies. Each may be NULL but for what is said. From a callback all functions
 * may be called but tunproxy_start_…(), tunproxy_stop() and tunproxy_destroy() for its own
 * instance, and, in the instance's thread, tunproxy_reload(): they return
 * ::TUNPROXY_ERROR_CALLBACK. A call for another instance waits for that one's thread: two instances
 * whose callbacks ask each other wait for ever. A callback that throws or jumps out is undefined
 * behaviour; one that blocks holds up the thread that is named, and tunproxy_stop(). @since 0.2
 */
typedef struct tunproxy_callbacks {
  size_t size; /**< sizeof(tunproxy_callbacks) */
  void* user;  /**< handed to each callback */

  /**
   * Called for every outer socket, between socket() and connect(), in the instance's thread:
   * Android's VpnService.protect(). Returns 0, or anything else to refuse: the socket is closed
   * then, and its server counts as one that cannot be reached. The descriptor stays the library's.
   * Not called for the sockets of the system's resolver: see `resolve`.
   */
  int (*protect_socket)(void* user, int fd);
  /**
   * A line for people, without a newline, never with secrets. From any thread of the library, and
   * from the one that calls tunproxy_start_…(). NULL: nothing is logged.
   */
  void (*log)(void* user, tunproxy_log_level level, const char* line);
  /**
   * The state changed; in the instance's thread. `reason` is ::TUNPROXY_OK, or with `text` what
   * ended the last connection (::TUNPROXY_RECONNECTING) or everything (::TUNPROXY_FAILED).
   */
  void (*state)(void* user, tunproxy_state state, tunproxy_result reason, const char* text);
  /**
   * The server shows a key that no file of known hosts has. To be answered by tunproxy_answer()
   * with "yes" or tunproxy_refuse(), now or later, from any thread. NULL, or a `host-key-policy`
   * other than `ask`: unknown keys are refused, or accepted once and remembered (`accept-new`,
   * which needs a file in `known-hosts`). What is accepted goes into the first file of
   * `known-hosts`, and holds until the tunnel stops where there is none that can be written;
   * programs that keep keys themselves hand them in as `known-host`. A changed key is always
   * refused. From a thread of its own, which may block.
   */
  void (*verify_host_key)(void* user, tunproxy_question question, const tunproxy_host_key* key);
  /**
   * The server asks the user: a password, a passphrase, a code. `echo` is 0 for secrets. To be
   * answered by tunproxy_answer() or tunproxy_refuse(), as above. NULL: there is nobody to ask.
   */
  void (*ask)(void* user, tunproxy_question question, const char* prompt, int echo);
  /**
   * Looks up a name that is needed before there is a tunnel (the server's). Returns 0 and fills
   * `addresses`, or anything else. From a thread of its own, which may block. NULL: the system's
   * resolver is asked.
   */
  int (*resolve)(void* user, const char* name, tunproxy_addresses* addresses);
  /**
   * Packets for the device; REQUIRED by tunproxy_start_packets(). In the instance's thread; it must
   * not block for long. Packets that the device has no room for are to be dropped.
   */
  void (*write_packets)(void* user, const tunproxy_packet* packets, size_t count);
  /**
   * Who made a flow (Android: getConnectionOwnerUid()), for tunproxy_get_flows(); -1: unknown. In
   * the instance's thread and once a flow.
   */
  int32_t (*flow_owner)(void* user, const tunproxy_flow_key* key);
} tunproxy_callbacks;

/** Counters since the start. @since 0.2 */
typedef struct tunproxy_stats {
  size_t size; /**< sizeof(tunproxy_stats), set by the program; then as much as is filled in */
  tunproxy_state state;     /**< now */
  uint32_t sessions;        /**< SSH connections now, also those that are being made anew */
  uint32_t tcp_flows;       /**< open now */
  uint32_t udp_flows;       /**< associations open now */
  uint64_t flows;           /**< TCP flows and UDP associations so far */
  uint64_t refused;         /**< of them refused by rules, here or at the server */
  uint64_t bytes_up;        /**< payload of all flows, from the device and the listener */
  uint64_t bytes_down;      /**< to them */
  uint64_t packets_in;      /**< from the device */
  uint64_t packets_out;     /**< to the device */
  uint64_t packets_dropped; /**< malformed, or without room */
  uint64_t reconnects;      /**< how often it came online again */
} tunproxy_stats;

/** One open flow. @since 0.2 */
typedef struct tunproxy_flow {
  size_t size;     /**< of the first of an array: sizeof(tunproxy_flow), set by the program; then as
                      much as is filled in */
  uint64_t id;     /**< of no other flow of this run */
  int protocol;    /**< 6 TCP, 17 UDP */
  int32_t owner;   /**< of `flow_owner`; -1: unknown */
  uint64_t age_ms; /**< milliseconds since it began */
  uint64_t bytes_up;   /**< payload, from the device or the listener */
  uint64_t bytes_down; /**< to it */
  char source[64];     /**< "192.0.2.1:4711"; "" for flows of the listener */
  char target[280];    /**< "host:port"; "" for UDP */
} tunproxy_flow;

/** How hard the system is pressed for memory. @since 0.2 */
typedef enum tunproxy_pressure {
  TUNPROXY_PRESSURE_NONE = 0,     /**< back to normal */
  TUNPROXY_PRESSURE_MODERATE = 1, /**< windows shrink */
  TUNPROXY_PRESSURE_CRITICAL = 2  /**< and idle associations end */
} tunproxy_pressure;

/**
 * The version of the library.
 * @return "0.2.0"; static, never NULL
 * @thread any
 * @since 0.2
 */
TUNPROXY_API const char* tunproxy_version(void);

/**
 * The binary interface of the library. Higher ones stay compatible.
 * @return the ::TUNPROXY_ABI_VERSION that it was built with
 * @thread any
 * @since 0.2
 */
TUNPROXY_API uint32_t tunproxy_abi_version(void);

/**
 * A result in words.
 * @param result a ::tunproxy_result, or any number
 * @return static, never NULL
 * @thread any
 * @since 0.2
 */
TUNPROXY_API const char* tunproxy_strerror(int result);

/**
 * What was wrong with the last call that failed in this thread, and what to do.
 * @return the library's, valid until the next call in this thread; never NULL; "" if there was none
 * @thread any; each has its own
 * @since 0.2
 */
TUNPROXY_API const char* tunproxy_error_text(void);

/**
 * Makes an instance.
 * @param callbacks copied; what `user` points to has to outlive the instance. NULL: none
 * @param[out] instance the caller's, to be ended by tunproxy_destroy(); NULL if it fails
 * @return ::TUNPROXY_OK, ::TUNPROXY_ERROR_ARGUMENT (a size that is not set), ::TUNPROXY_ERROR_LIMIT
 * (there are ::TUNPROXY_MAX_INSTANCES)
 * @thread any
 * @since 0.2
 */
TUNPROXY_API int tunproxy_create(const tunproxy_callbacks* callbacks, tunproxy_tunnel** instance);

/**
 * Sets one key of the configuration (docs/configuration.md), such as `ssh` to `user@host`; a list
 * gets one more value. Not while it runs.
 * @param instance of tunproxy_create()
 * @param key as in a file; copied
 * @param value copied; "" is the default, and of a list none
 * @return ::TUNPROXY_OK, ::TUNPROXY_ERROR_CONFIG (the text names the key), ::TUNPROXY_ERROR_STATE
 * @thread any
 * @since 0.2
 */
TUNPROXY_API int tunproxy_set(tunproxy_tunnel* instance, const char* key, const char* value);

/**
 * Sets a secret: `ssh-password`, `passphrase`, `private-key` (as in a key file; one more each
 * time), `via-password`, `socks5-password`. Not while it runs.
 * @param instance of tunproxy_create()
 * @param key which one
 * @param bytes copied to memory that is wiped after use, and never logged; the caller wipes his own
 * @param length how many
 * @return ::TUNPROXY_OK, ::TUNPROXY_ERROR_CONFIG (the text names the key), ::TUNPROXY_ERROR_STATE
 * @thread any
 * @since 0.2
 */
TUNPROXY_API int tunproxy_set_secret(tunproxy_tunnel* instance, const char* key, const void* bytes,
                                     size_t length);

/**
 * Sets all the keys of a TOML text. Either all are taken or none. Not while it runs.
 * @param instance of tunproxy_create()
 * @param text copied
 * @return ::TUNPROXY_OK, ::TUNPROXY_ERROR_CONFIG (the text names line and key),
 * ::TUNPROXY_ERROR_STATE
 * @thread any
 * @since 0.2
 */
TUNPROXY_API int tunproxy_set_toml(tunproxy_tunnel* instance, const char* text);

/**
 * Runs over a TUN descriptor, without packet information (IFF_NO_PI) and without IFF_VNET_HDR.
 * Returns as soon as the thread runs; `state` tells what becomes of it.
 * @param instance of tunproxy_create()
 * @param fd the library's on success, which closes it at the end; the caller's on failure. It is
 * made non-blocking.
 * @param mtu of the interface, 1280 … 65535
 * @return ::TUNPROXY_OK, ::TUNPROXY_ERROR_ARGUMENT (no packet device), ::TUNPROXY_ERROR_CONFIG,
 * ::TUNPROXY_ERROR_STATE (it runs), ::TUNPROXY_ERROR_LIMIT (no thread), ::TUNPROXY_ERROR_CALLBACK
 * @thread any; not from a callback of this instance. It may read files, and with the key
 * `ssh-config` run `ssh`.
 * @since 0.2
 */
TUNPROXY_API int tunproxy_start_fd(tunproxy_tunnel* instance, int fd, uint16_t mtu);

/**
 * Runs with packets that the program moves itself, by tunproxy_push_packets() and `write_packets`.
 * @param instance of tunproxy_create()
 * @param mtu of the interface that the packets are of, 1280 … 65535
 * @return as tunproxy_start_fd(); ::TUNPROXY_ERROR_ARGUMENT without `write_packets`
 * @thread as tunproxy_start_fd()
 * @since 0.2
 */
TUNPROXY_API int tunproxy_start_packets(tunproxy_tunnel* instance, uint16_t mtu);

/**
 * Runs without a device: the listener of the key `socks` alone.
 * @param instance of tunproxy_create()
 * @return as tunproxy_start_fd()
 * @thread as tunproxy_start_fd()
 * @since 0.2
 */
TUNPROXY_API int tunproxy_start_proxy(tunproxy_tunnel* instance);

/**
 * Hands packets of the device in. What is no IP packet is taken and dropped.
 * @param instance of tunproxy_create()
 * @param packets copied; may be NULL if there are none
 * @param count how many
 * @param[out] taken how many, from the first on; fewer than `count`: the queue is full, and the
 * rest is to be offered again after a moment, or dropped. May be NULL.
 * @return ::TUNPROXY_OK, ::TUNPROXY_ERROR_STATE (it does not run in packet mode)
 * @thread any; never blocks for long
 * @since 0.2
 */
TUNPROXY_API int tunproxy_push_packets(tunproxy_tunnel* instance, const tunproxy_packet* packets,
                                       size_t count, size_t* taken);

/**
 * Answers a question. Each can be answered once.
 * @param instance that asked
 * @param question of `verify_host_key` or `ask`
 * @param answer copied to memory that is wiped after use; the caller wipes his own
 * @return ::TUNPROXY_OK, ::TUNPROXY_ERROR_ARGUMENT (nobody waits for this one, or not any more),
 * ::TUNPROXY_ERROR_STATE
 * @thread any, also from the callback that asks
 * @since 0.2
 */
TUNPROXY_API int tunproxy_answer(tunproxy_tunnel* instance, tunproxy_question question,
                                 const char* answer);

/**
 * Refuses to answer: the login goes on without, or fails.
 * @param instance that asked
 * @param question of `verify_host_key` or `ask`
 * @return as tunproxy_answer()
 * @thread as tunproxy_answer()
 * @since 0.2
 */
TUNPROXY_API int tunproxy_refuse(tunproxy_tunnel* instance, tunproxy_question question);

/**
 * The network below changed, or may have: connections are checked at once, and made again where
 * they are dead.
 * @param instance of tunproxy_create()
 * @return ::TUNPROXY_OK, ::TUNPROXY_ERROR_STATE (it does not run)
 * @thread any; returns at once
 * @since 0.2
 */
TUNPROXY_API int tunproxy_network_changed(tunproxy_tunnel* instance);

/**
 * The device is about to sleep: no probes are sent and nothing is given up until tunproxy_wake().
 * @param instance of tunproxy_create()
 * @return ::TUNPROXY_OK, ::TUNPROXY_ERROR_STATE (it does not run)
 * @thread any; returns at once
 * @since 0.2
 */
TUNPROXY_API int tunproxy_pause(tunproxy_tunnel* instance);

/**
 * The device woke up; goes on as after tunproxy_network_changed().
 * @param instance of tunproxy_create()
 * @return ::TUNPROXY_OK, ::TUNPROXY_ERROR_STATE (it does not run)
 * @thread any; returns at once
 * @since 0.2
 */
TUNPROXY_API int tunproxy_wake(tunproxy_tunnel* instance);

/**
 * Uses less memory until it is told ::TUNPROXY_PRESSURE_NONE.
 * @param instance of tunproxy_create()
 * @param pressure how much less
 * @return ::TUNPROXY_OK, ::TUNPROXY_ERROR_ARGUMENT, ::TUNPROXY_ERROR_STATE (it does not run)
 * @thread any; returns at once
 * @since 0.2
 */
TUNPROXY_API int tunproxy_memory_pressure(tunproxy_tunnel* instance, tunproxy_pressure pressure);

/**
 * Reads the files of rules, users and certificates again. A bad one keeps what there was. Flows go
 * on.
 * @param instance of tunproxy_create()
 * @return ::TUNPROXY_OK, ::TUNPROXY_ERROR_CONFIG (the text names the file and the line),
 * ::TUNPROXY_ERROR_STATE (it does not run), ::TUNPROXY_ERROR_CALLBACK
 * @thread any, and waits for the instance's; not from a callback in the instance's thread
 * @since 0.2
 */
TUNPROXY_API int tunproxy_reload(tunproxy_tunnel* instance);

/**
 * Fills `stats` as far as its size goes. While the instance does not run, all counters are 0.
 * @param instance of tunproxy_create()
 * @param[in,out] stats the caller's; its size is set
 * @return ::TUNPROXY_OK, ::TUNPROXY_ERROR_ARGUMENT (a size that is not set)
 * @thread any, and waits for the instance's
 * @since 0.2
 */
TUNPROXY_API int tunproxy_get_stats(tunproxy_tunnel* instance, tunproxy_stats* stats);

/**
 * Lists open flows, the oldest first.
 * @param instance of tunproxy_create()
 * @param[in,out] flows the caller's array; the `size` of its first element is the size of each
 * @param capacity elements that it has room for
 * @param[out] count how many there are, which may be more than `capacity`
 * @return ::TUNPROXY_OK, ::TUNPROXY_ERROR_ARGUMENT (a size that is not set)
 * @thread any, and waits for the instance's
 * @since 0.2
 */
TUNPROXY_API int tunproxy_get_flows(tunproxy_tunnel* instance, tunproxy_flow* flows,
                                    size_t capacity, size_t* count);

/**
 * Stops and waits for the end. Idempotent; afterwards it may be configured and started again.
 * @param instance of tunproxy_create()
 * @param timeout_ms how long to wait; a second is plenty
 * @return ::TUNPROXY_OK, ::TUNPROXY_ERROR_CALLBACK, ::TUNPROXY_ERROR_TIMEOUT (a callback, or the
 * system's resolver, blocks; it still ends, and may be waited for again)
 * @thread any; not from a callback of this instance
 * @since 0.2
 */
TUNPROXY_API int tunproxy_stop(tunproxy_tunnel* instance, uint32_t timeout_ms);

/**
 * Stops, however long that takes, and ends the instance. No callback comes after it returned.
 * @param instance gone afterwards, unless it fails; NULL is allowed
 * @return ::TUNPROXY_OK, ::TUNPROXY_ERROR_CALLBACK (nothing happened)
 * @thread any; not from a callback of this instance, and not while another call with it runs
 * @since 0.2
 */
TUNPROXY_API int tunproxy_destroy(tunproxy_tunnel* instance);

#ifdef __cplusplus
}
#endif

#endif
