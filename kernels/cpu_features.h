#pragma once
#include <string>
#include <vector>

namespace edgevision {

// Instruction sets of the CPU this process runs on that decide how fast, and how exactly, int8 and preprocessing run.
// Names are those of /proc/cpuinfo with '_' removed ("avx2", "fma", "avx512vnni", "avxvnni", "amxint8", "asimddp", …),
// sorted. A set counts only where the operating system saves its registers.
std::vector<std::string> cpu_features();

}  // namespace edgevision
