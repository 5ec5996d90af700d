# The mean of y and its standard deviation, that of a sample.
NR > 1 { n++; sum += $2; squares += $2 * $2 }
END { printf "{\"mean\": %.6f, \"sd\": %.6f}\n", sum / n, sqrt((squares - sum * sum / n) / (n - 1)) }
