# lme4's point estimate: Rscript lme4.R TABLE FORMULA FAMILY REPEATS, one line of JSON.
suppressMessages(library(lme4))
given <- commandArgs(TRUE)
table <- read.csv(given[1])
formula <- as.formula(given[2])
once <- function() {
  took <- system.time(
    fit <- if (given[3] == "gaussian") lmer(formula, table, REML = TRUE, control = lmerControl(calc.derivs = FALSE))
           else glmer(formula, table, family = binomial, nAGQ = 1, control = glmerControl(calc.derivs = FALSE)))
  list(wall = took[["elapsed"]], cpu = sum(took[1:2]), fixed = as.list(fixef(fit)))
}
runs <- lapply(seq_len(as.integer(given[4])), function(k) once())
peak <- grep("^VmHWM", readLines("/proc/self/status"), value = TRUE)
answer <- list(wall = sapply(runs, `[[`, "wall"), cpu = sapply(runs, `[[`, "cpu"), fixed = runs[[1]]$fixed, memory = as.numeric(gsub("[^0-9]", "", peak)) / 1024,
               version = paste("lme4", packageVersion("lme4")))
cat(jsonlite::toJSON(answer, auto_unbox = TRUE, digits = NA), "\n")
