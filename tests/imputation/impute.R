# Multiple imputation of the gaps in incomes.csv (a real covariate) and smokers.csv (a binary one), with R's mice:
# 100 imputations each, the covariate given all else and the school, then lme4 on each, pooled by Rubin's rules.
#   Rscript tests/imputation/impute.R     writes pooled.csv
library(mice)
library(lme4)
set.seed(20261123)

pooled <- function(imputed, formula) {
  fits <- lapply(seq_len(imputed$m), function(k) lmer(formula, complete(imputed, k), REML = TRUE))
  b <- sapply(fits, fixef)
  u <- sapply(fits, function(f) diag(as.matrix(vcov(f))))
  between <- apply(b, 1, var)
  data.frame(term = rownames(b), estimate = rowMeans(b), se = sqrt(rowMeans(u) + (1 + 1 / ncol(b)) * between))
}

imputations <- function(data, column, method) {
  data$school <- as.integer(factor(data$school))
  predictors <- make.predictorMatrix(data)
  predictors[, ] <- 0
  predictors[column, setdiff(names(data), column)] <- 1
  predictors[column, "school"] <- -2
  methods <- setNames(rep("", ncol(data)), names(data))
  methods[column] <- method
  mice(data, m = 100, maxit = 1, method = methods, predictorMatrix = predictors, printFlag = FALSE)
}

incomes <- read.csv("examples/incomes/incomes.csv")
incomes$log_income <- log(incomes$income)
one <- imputations(incomes[, c("school", "tutor", "pretest", "log_income", "score")], "log_income", "2l.pan")
found <- cbind(study = "incomes", pooled(one, score ~ tutor + pretest + log_income + (1 | school)))

smokers <- read.csv("tests/imputation/smokers.csv")
two <- imputations(smokers, "smokes", "2l.bin")
found <- rbind(found, cbind(study = "smokers", pooled(two, y ~ t + w + smokes + (1 | school))))
write.csv(found, "tests/imputation/pooled.csv", row.names = FALSE)
cat("mice", as.character(packageVersion("mice")), "lme4", as.character(packageVersion("lme4")), R.version.string, "\n")
