# frozen_string_literal: true

# Tasks for Capistrano 3: after its own switch of the symlink the workers are
# restarted, and the deploy goes on only when each of them is confirmed to run the
# new release. In the Capfile, after `require "capistrano/deploy"`:
#
#     load "/path/to/aloud.rake"

namespace :load do
  task :defaults do
    # How aloud is called on the host; `sudo aloud` where only root may restart.
    set :aloud_command, -> { "aloud" }
    # How long all workers together may take to get ready.
    set :aloud_restart_timeout, -> { "5m" }
    # The hosts with an agent.
    set :aloud_roles, -> { :all }
  end
end

namespace :aloud do
  # Prints what aloud said; what ends in anything but 0 is raised.
  say = lambda do |host, arguments|
    host.capture("#{fetch(:aloud_command)} #{arguments} 2>&1").each_line { |line| host.info line.chomp }
  end

  desc "Move every worker to the current release, and fail unless each is confirmed"
  task :restart do
    on release_roles(fetch(:aloud_roles)) do
      say.call(self, "restart --timeout #{fetch(:aloud_restart_timeout)}")
    end
  end

  desc "Say how the workers and the queue are; fail when something is wrong"
  task :status do
    on release_roles(fetch(:aloud_roles)) do
      say.call(self, "status")
    end
  end

  desc "Remove old releases that no process is in"
  task :prune do
    on release_roles(fetch(:aloud_roles)) do
      say.call(self, "prune")
    rescue SSHKit::Command::Failed => e
      # The deploy is done; what could not be removed is told, and is no reason to undo it.
      warn "aloud prune: #{e.message}"
    end
  end
end

# A deploy and a rollback both pass here, each after its switch.
after "deploy:published", "aloud:restart"

# Capistrano's own cleanups remove releases that processes may still be in.
%w[deploy:cleanup deploy:cleanup_rollback].each do |name|
  Rake::Task[name].clear_actions if Rake::Task.task_defined?(name)
  task(name) { invoke "aloud:prune" }
end
