# tunproxy_bundle(TARGET OUTPUT ROOT MAP): a static library OUTPUT that holds ROOT and every static library of this project
# that it needs, as one object in which only the symbols of the version script MAP can be seen from outside.
function(tunproxy_static_closure target out)
  get_target_property(links ${target} LINK_LIBRARIES)
  set(found ${${out}})
  foreach(link IN LISTS links)
    if(TARGET ${link})
      get_target_property(type ${link} TYPE)
      get_target_property(imported ${link} IMPORTED)
      if(type STREQUAL STATIC_LIBRARY AND NOT imported AND NOT link IN_LIST found)
        list(APPEND found ${link})
        tunproxy_static_closure(${link} found)
      endif()
    endif()
  endforeach()
  set(${out} ${found} PARENT_SCOPE)
endfunction()

function(tunproxy_bundle target output root map)
  file(READ "${map}" names)
  string(REGEX MATCHALL "tunproxy_[a-z_]+" names "${names}")
  list(JOIN names "\n" names)
  set(kept "${CMAKE_CURRENT_BINARY_DIR}/${target}.symbols")
  file(CONFIGURE OUTPUT "${kept}" CONTENT "${names}\n" @ONLY)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${map}")
  set(parts ${root})
  tunproxy_static_closure(${root} parts)
  list(TRANSFORM parts REPLACE "(.+)" "$<TARGET_FILE:\\1>" OUTPUT_VARIABLE files)
  list(POP_FRONT files first)
  set(object "${CMAKE_CURRENT_BINARY_DIR}/${target}.o")
  add_custom_command(
    OUTPUT "${output}"
    COMMAND "${CMAKE_COMMAND}" -E rm -f "${output}"
    # Without groups: one of the program's by the same name would take the place of ours.
    COMMAND "${CMAKE_LINKER}" -r --force-group-allocation -o "${object}" --whole-archive ${first} --no-whole-archive
            --start-group ${files} --end-group
    COMMAND "${CMAKE_OBJCOPY}" "--keep-global-symbols=${kept}" "${object}"
    COMMAND "${CMAKE_AR}" qcs "${output}" "${object}"
    DEPENDS ${parts} "${kept}" VERBATIM)
  add_custom_target(${target} ALL DEPENDS "${output}")
endfunction()
