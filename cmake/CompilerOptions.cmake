# Our own code is built with warnings, third-party code (cmake/ThirdParty.cmake) without.
find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

if(TUNPROXY_SANITIZE)
  add_compile_options(-fsanitize=${TUNPROXY_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${TUNPROXY_SANITIZE})
endif()

# Android devices with pages of 16 KB load nothing that is aligned to less.
if(ANDROID)
  set(TUNPROXY_MAX_PAGE_SIZE 16384 CACHE STRING "Largest page size that the libraries can be loaded with")
else()
  set(TUNPROXY_MAX_PAGE_SIZE "" CACHE STRING "Largest page size that the libraries can be loaded with; empty: the linker's")
endif()
if(TUNPROXY_MAX_PAGE_SIZE)
  add_link_options("LINKER:-z,max-page-size=${TUNPROXY_MAX_PAGE_SIZE}")
endif()

# Else templates of ours would be one with those of the program that links the static library.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT TUNPROXY_SANITIZE)
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fno-gnu-unique>)
endif()

if(TUNPROXY_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# Not where compilers may come that nobody has tried.
if(TUNPROXY_LIBRARY_ONLY)
  option(TUNPROXY_WERROR "Warnings of our own code are errors" OFF)
else()
  option(TUNPROXY_WERROR "Warnings of our own code are errors" ON)
endif()
add_library(tunproxy_warnings INTERFACE)
target_compile_options(tunproxy_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion $<$<BOOL:${TUNPROXY_WERROR}>:-Werror>
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor -Woverloaded-virtual>
  # GCC 12 sees overlaps in std::string's operator+ that are not there (its bug 105329).
  # And contents of empty std::optionals that are used (80635).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict -Wno-maybe-uninitialized>)

# tunproxy_library(NAME SOURCES... LINK TARGETS...): a layer of our own, built with our warnings.
function(tunproxy_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC ${ARG_LINK} PRIVATE tunproxy_warnings)
endfunction()
