# Fits a polynomial to the points of a table and writes its coefficients, the constant first: fit.R TABLE DEGREE JSON
arguments <- commandArgs(trailingOnly = TRUE)
points <- read.csv(arguments[1])
degree <- as.integer(arguments[2])
fitted <- lm(y ~ poly(x, degree, raw = TRUE), data = points)
values <- sprintf("\"x^%d\": %.6f", 0:degree, coef(fitted))
cat("{", paste(values, collapse = ", "), "}\n", sep = "", file = arguments[3])
