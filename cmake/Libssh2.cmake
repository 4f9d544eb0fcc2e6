# libssh2 1.11.1 with the distribution's security patches and ours (cmake/libssh2/), as the static
# library tunproxy_libssh2. OpenSSL 3 only, no compression.
set(_ssh2_ours "${CMAKE_CURRENT_LIST_DIR}/libssh2")
set(_ssh2_dir "${CMAKE_BINARY_DIR}/libssh2")
set(_ssh2_patch "${_ssh2_ours}/tunproxy.patch")

file(STRINGS "${TUNPROXY_LIBSSH2_SOURCE}/include/libssh2.h" _ssh2_version
     REGEX "^#define LIBSSH2_VERSION[ \t]")
if(NOT _ssh2_version MATCHES "\"1\\.11\\.1")
  message(FATAL_ERROR "tunproxy's patch is made for libssh2 1.11.1; ${TUNPROXY_LIBSSH2_SOURCE} says: "
    "${_ssh2_version}")
endif()

# A patched copy, made again when the sources or the patch change.
file(GLOB _ssh2_inputs "${TUNPROXY_LIBSSH2_SOURCE}/src/*.[ch]"
     "${TUNPROXY_LIBSSH2_SOURCE}/include/*.h" "${_ssh2_patch}")
set(_ssh2_hashes "")
foreach(_input IN LISTS _ssh2_inputs)
  file(SHA256 "${_input}" _hash)
  string(APPEND _ssh2_hashes "${_hash}")
endforeach()
string(SHA256 _ssh2_stamp "${_ssh2_hashes}")
set(_ssh2_done "")
if(EXISTS "${_ssh2_dir}/stamp")
  file(READ "${_ssh2_dir}/stamp" _ssh2_done)
endif()
if(NOT _ssh2_done STREQUAL _ssh2_stamp)
  find_program(PATCH_PROGRAM patch REQUIRED)
  file(REMOVE_RECURSE "${_ssh2_dir}")
  file(COPY "${TUNPROXY_LIBSSH2_SOURCE}/src" "${TUNPROXY_LIBSSH2_SOURCE}/include"
       DESTINATION "${_ssh2_dir}")
  execute_process(
    COMMAND "${PATCH_PROGRAM}" -p1 --batch --forward --fuzz=0 -i "${_ssh2_patch}"
    WORKING_DIRECTORY "${_ssh2_dir}" RESULT_VARIABLE _ssh2_result
    OUTPUT_VARIABLE _ssh2_output ERROR_VARIABLE _ssh2_output)
  if(NOT _ssh2_result EQUAL 0)
    message(FATAL_ERROR "cmake/libssh2/tunproxy.patch does not apply to ${TUNPROXY_LIBSSH2_SOURCE} "
      "(wanted: libssh2 1.11.1, Debian revision -1+deb13u2 or later):\n${_ssh2_output}")
  endif()
  file(WRITE "${_ssh2_dir}/stamp" "${_ssh2_stamp}")
endif()
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${_ssh2_patch}")

set(_ssh2_sources "")
foreach(_name agent bcrypt_pbkdf chacha channel cipher-chachapoly comp crypt crypto global hostkey
        keepalive kex knownhost mac misc packet pem poly1305 publickey scp session sftp transport
        userauth userauth_kbd_packet version)
  list(APPEND _ssh2_sources "${_ssh2_dir}/src/${_name}.c")
endforeach()
add_library(tunproxy_libssh2 STATIC ${_ssh2_sources} "${_ssh2_ours}/tunproxy_ssh2.c")
target_compile_definitions(tunproxy_libssh2 PRIVATE
  LIBSSH2_OPENSSL HAVE_UNISTD_H HAVE_INTTYPES_H HAVE_SYS_SELECT_H HAVE_SYS_UIO_H HAVE_SYS_SOCKET_H
  HAVE_SYS_IOCTL_H HAVE_SYS_TIME_H HAVE_SYS_UN_H HAVE_GETTIMEOFDAY HAVE_STRTOLL HAVE_SNPRINTF
  HAVE_EXPLICIT_BZERO HAVE_POLL HAVE_SELECT HAVE_O_NONBLOCK)
target_compile_options(tunproxy_libssh2 PRIVATE -w)
target_include_directories(tunproxy_libssh2 PRIVATE "${_ssh2_dir}/src")
target_include_directories(tunproxy_libssh2 SYSTEM PUBLIC "${_ssh2_dir}/include" "${_ssh2_ours}")
target_link_libraries(tunproxy_libssh2 PUBLIC OpenSSL::Crypto)
